//! Several processes on one catalog, and processes that are killed.
//!
//! The program runs itself as its children: `processes --child ROLE PATH …`.

mod child;
mod kill;
mod race;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, role, rest @ ..] = arguments.as_slice()
        && flag == "--child"
    {
        return child::run(role, rest);
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    let trials = vec![
        trial(
            "race::one_process_stores_each_variant",
            race::one_process_stores_each_variant,
        ),
        trial(
            "race::overwrites_of_all_processes_are_numbered_once",
            race::overwrites_are_numbered_once,
        ),
        trial(
            "race::many_processes_create_the_catalog",
            race::many_processes_create_the_catalog,
        ),
        trial(
            "kill::what_was_acknowledged_survives",
            kill::what_was_acknowledged_survives,
        ),
        trial(
            "kill::every_failpoint_leaves_a_whole_catalog",
            kill::every_failpoint_leaves_a_whole_catalog,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
