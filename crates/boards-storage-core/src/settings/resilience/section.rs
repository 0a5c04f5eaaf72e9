//! A section of the resilience settings and one provider's differences from it, written down once.

/// Defines a section with its defaults, and the same fields as options for one provider's differences.
macro_rules! section {
    (
        $(#[$about:meta])*
        $settings:ident {
            $( $(#[$field_about:meta])* $field:ident: $type:ty = $default:expr, )*
        }
        $(#[$differences_about:meta])*
        $differences:ident
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $settings {
            $( $(#[$field_about])* pub $field: $type, )*
        }

        impl Default for $settings {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        $(#[$differences_about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $differences {
            $( $(#[$field_about])* pub $field: Option<$type>, )*
        }

        impl $settings {
            /// Returns these settings with one provider's differences applied.
            #[must_use]
            pub fn overridden_by(&self, differences: Option<&$differences>) -> Self {
                match differences {
                    Some(differences) => Self {
                        $( $field: differences.$field.clone().unwrap_or_else(|| self.$field.clone()), )*
                    },
                    None => self.clone(),
                }
            }
        }
    };
}

pub(super) use section;
