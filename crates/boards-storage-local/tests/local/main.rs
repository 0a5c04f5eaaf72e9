//! The local provider on a real disk: its layout, what a hostile or full disk does to it, and several processes.
//!
//! The program runs itself as its children: `local --child ROLE PATH …`. Linux only: it mounts a small tmpfs in a
//! mount namespace of its own and reads `/proc`. `LOCAL_LIST_FILES` sets how many files the great listing has.

#![expect(
    clippy::disallowed_methods,
    reason = "a test may block and read the environment"
)]

mod support;

mod child;
mod foreign;
mod full;
mod layout;
mod listing;
mod opening;
mod race;
mod staging;

use libtest_mimic::{Arguments, Failed, Trial};

macro_rules! trials {
    ($($module:ident: $($name:ident),+;)+) => {
        vec![$($(trial(concat!(stringify!($module), "::", stringify!($name)), $module::$name)),+),+]
    };
}

fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok::<(), Failed>(())
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, role, rest @ ..] = arguments.as_slice()
        && flag == "--child"
    {
        return child::run(role, rest);
    }
    let trials = trials! {
        layout:
            a_payload_is_a_plain_file_and_all_else_is_in_one_folder,
            a_delete_prunes_empty_folders,
            a_copied_tree_keeps_everything,
            a_file_and_a_folder_exclude_each_other,
            long_keys_work_below_a_long_base_path,
            a_segment_has_at_most_255_bytes;
        foreign:
            links_are_never_followed,
            a_base_path_may_be_a_link,
            a_file_put_there_by_hand_is_an_object,
            a_file_edited_in_place_counts_as_put_by_hand,
            a_flipped_bit_is_corruption,
            a_pipe_is_refused_without_waiting,
            a_folder_is_no_object;
        full:
            a_full_disk_leaves_the_old_object;
        staging:
            what_a_killed_process_staged_is_removed_while_others_write;
        race:
            one_of_many_tasks_makes_each_object,
            one_of_many_processes_makes_each_object,
            counters_of_tasks_lose_nothing,
            counters_of_processes_lose_nothing;
        listing:
            a_folder_of_20_000_is_listed_in_order,
            every_listing_equals_the_model,
            list_million;
        opening:
            two_handles_see_each_other,
            reopening_keeps_everything,
            an_unknown_format_is_refused,
            a_bad_base_path_is_named,
            settings_refuse_unknown_fields,
            fsync_and_checksum_can_be_switched_off;
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
