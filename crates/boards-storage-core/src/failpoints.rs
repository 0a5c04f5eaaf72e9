//! Named points at which a crash test can stop the program. Without the feature `failpoints` they are nothing.

/// Marks a point that a crash test can stop at. Without the feature `failpoints` it is nothing.
macro_rules! failpoint {
    ($name:expr) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
}
