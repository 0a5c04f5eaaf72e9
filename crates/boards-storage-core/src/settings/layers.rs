//! The layers of the settings, merged by figment: defaults ← file ← environment.
//!
//! Maps merge field by field; anything else, lists included, is replaced as a whole. figment knows which layer a value
//! came from and not its line, so each value is looked up again in the tree of its layer.

use figment::value::{Dict, Tag, Value as FigmentValue};
use figment::{Figment, Metadata, Profile, Provider};

use super::problem::Origin;
use super::tree::{Entry, Map, Node, Value};

/// One layer: a name of its own, and a tree whose root is a map.
pub(super) struct Layer {
    pub(super) name: &'static str,
    pub(super) root: Node,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<figment::value::Map<Profile, Dict>, figment::Error> {
        let fields = self.root.as_map().map(to_dict).unwrap_or_default();
        Ok(figment::value::Map::from([(Profile::Default, fields)]))
    }
}

/// Merges the layers; later ones override earlier ones.
pub(super) fn merge(layers: &[Layer]) -> Node {
    let figment = layers
        .iter()
        .fold(Figment::new(), |figment, layer| figment.merge(layer));
    let data = figment
        .data()
        .expect("a layer is a tree in memory, which can't fail to be read");
    let fields = data.get(&Profile::Default).cloned().unwrap_or_default();
    let merged = Merged {
        figment: &figment,
        layers,
    };
    merged.map(&fields, &mut Vec::new())
}

struct Merged<'l> {
    figment: &'l Figment,
    layers: &'l [Layer],
}

impl<'l> Merged<'l> {
    fn map<'p>(&self, fields: &'p Dict, path: &mut Vec<&'p str>) -> Node {
        let mut map = Map::new();
        for (name, value) in fields {
            path.push(name);
            let node = match value {
                FigmentValue::Dict(_, fields) => self.map(fields, path),
                _ => self.leaf(value.tag(), path),
            };
            let origin = self
                .best(path, |entry| Some(&entry.origin))
                .unwrap_or_else(|| node.origin.clone());
            map.insert(name.clone(), Entry { origin, node });
            path.pop();
        }
        let of_map = |entry: &'l Entry| entry.node.as_map().map(|_| &entry.node.origin);
        let origin = self.best(path, of_map).unwrap_or(Origin::Default);
        Node::new(Value::Map(map), origin)
    }

    /// Returns a value that is not a map, from the layer that figment took it from.
    fn leaf(&self, tag: Tag, path: &[&str]) -> Node {
        let name = self
            .figment
            .get_metadata(tag)
            .map(|metadata| metadata.name.as_ref());
        let layer = self.layers.iter().find(|layer| Some(layer.name) == name);
        let entry = layer.and_then(|layer| entry(&layer.root, path));
        entry
            .expect("figment took the value from this path of this layer")
            .node
            .clone()
    }

    /// Returns the origin that helps most: a line of the file, else a variable.
    fn best(&self, path: &[&str], origin: fn(&'l Entry) -> Option<&'l Origin>) -> Option<Origin> {
        let origins = self.layers.iter().filter_map(|layer| match path {
            [] => Some(&layer.root.origin),
            path => entry(&layer.root, path).and_then(origin),
        });
        origins
            .min_by_key(|origin| match origin {
                Origin::File { .. } => 0,
                Origin::Variable { .. } => 1,
                Origin::Default => 2,
            })
            .cloned()
    }
}

fn entry<'n>(root: &'n Node, path: &[&str]) -> Option<&'n Entry> {
    let (last, parents) = path.split_last()?;
    root.descend(parents)?.as_map()?.get(*last)
}

fn to_dict(map: &Map) -> Dict {
    map.iter()
        .map(|(name, entry)| (name.clone(), to_figment(&entry.node)))
        .collect()
}

fn to_figment(node: &Node) -> FigmentValue {
    match &node.value {
        Value::Null | Value::Unknown => FigmentValue::Empty(Tag::Default, figment::value::Empty::Unit),
        Value::Bool(value) => FigmentValue::from(*value),
        Value::Integer(integer) => FigmentValue::from(*integer),
        Value::Float(float) => FigmentValue::from(*float),
        Value::Text(text) => FigmentValue::from(text.as_str()),
        Value::List(items) => FigmentValue::from(items.iter().map(to_figment).collect::<Vec<_>>()),
        Value::Map(map) => FigmentValue::from(to_dict(map)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn layer(name: &'static str, json: &Json, origin: &Origin) -> Layer {
        Layer {
            name,
            root: Node::from_json(json, origin),
        }
    }

    #[test]
    fn maps_merge_and_everything_else_is_replaced() {
        let file = Origin::File {
            file: "f".into(),
            line: 1,
            column: 1,
        };
        let variable = Origin::Variable { name: "X".into() };
        let merged = merge(&[
            layer(
                "a",
                &json!({"m": {"x": 1, "y": 2}, "l": [1, 2], "s": {"deep": 1}}),
                &Origin::Default,
            ),
            layer(
                "b",
                &json!({"m": {"y": 3}, "l": [3], "s": "text", "n": {"a": null}}),
                &file,
            ),
            layer("c", &json!({"m": {"z": 4}, "n": {"a": true}}), &variable),
        ]);
        assert_eq!(
            merged.to_json(),
            json!({"m": {"x": 1, "y": 3, "z": 4}, "l": [3], "s": "text", "n": {"a": true}})
        );
        let origin = |names: &[&str]| merged.descend(names).expect("there").origin.clone();
        assert_eq!(origin(&["m"]), file);
        assert_eq!(origin(&["m", "x"]), Origin::Default);
        assert_eq!(origin(&["m", "y"]), file);
        assert_eq!(origin(&["m", "z"]), variable);
    }
}
