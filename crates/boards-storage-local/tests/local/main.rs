//! What is true of the local provider alone: its layout on the disk, what others do to the tree, and several processes.
#![expect(
    clippy::disallowed_methods,
    reason = "tests may block and start themselves again"
)]

mod support;

mod full_disk;
mod hand_made;
mod layout;
mod links;
mod listing;
mod opening;
mod parts;
mod processes;
mod staging;
