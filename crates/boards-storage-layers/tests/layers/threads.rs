//! The circuit under every order of threads that shuttle tries: the very source of the breaker, with other primitives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Counter, Ordering as CounterOrdering};
use std::time::Duration;

use boards_storage_core::CircuitState;

use self::circuit::{Circuit, Entrant, Rules};
use self::window::{Sample, WindowSize};

/// What `breaker/sync.rs` is for the real one.
mod sync {
    pub(super) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(super) use shuttle::sync::{Mutex, MutexGuard};
}

#[allow(dead_code, unreachable_pub, reason = "not all of it is driven here")]
#[path = "../../src/breaker/circuit.rs"]
mod circuit;
#[allow(dead_code, reason = "not all of it is driven here")]
#[path = "../../src/breaker/window.rs"]
mod window;

const OPEN_TIME: Duration = Duration::from_secs(10);
const HALF_OPEN_CALLS: u64 = 3;
const SCHEDULES: usize = 1_000;

const GOOD: Sample = Sample {
    is_failure: false,
    is_slow: false,
};
const BAD: Sample = Sample {
    is_failure: true,
    is_slow: false,
};

fn circuit(window: usize, calls_min: u64) -> Circuit {
    Circuit::new(Rules {
        window: WindowSize::Calls(window),
        calls_min,
        failure_percent: 50,
        slow_percent: 100,
        open_time: OPEN_TIME,
        half_open_calls: HALF_OPEN_CALLS,
    })
}

/// Returns a circuit that was opened at the beginning of time.
fn open() -> Circuit {
    let circuit = circuit(4, 2);
    for _ in 0..2 {
        let (admission, _) = circuit.admit(Entrant::Call, Duration::ZERO);
        circuit.record(admission.expect("it is closed"), Duration::ZERO, BAD);
    }
    assert_eq!(circuit.state(), CircuitState::Open);
    circuit
}

#[test]
fn a_half_open_circuit_never_lets_more_in_than_it_may() {
    let check = || {
        let circuit = Arc::new(open());
        // Std's counter: it is no part of what is tried out.
        let inside = Arc::new(Counter::new(0));
        let threads: Vec<_> = (0..6)
            .map(|number| {
                let (circuit, inside) = (Arc::clone(&circuit), Arc::clone(&inside));
                shuttle::thread::spawn(move || {
                    let (admission, transition) = circuit.admit(Entrant::Call, OPEN_TIME);
                    let Ok(admission) = admission else {
                        return transition.is_some();
                    };
                    assert!(
                        admission.is_counted,
                        "no result was recorded, so it is not closed"
                    );
                    let now = inside.fetch_add(1, CounterOrdering::SeqCst) + 1;
                    assert!(now <= HALF_OPEN_CALLS, "{now} calls are inside");
                    shuttle::thread::yield_now();
                    // Half of the callers go away.
                    if number % 2 == 0 {
                        inside.fetch_sub(1, CounterOrdering::SeqCst);
                        circuit.give_back(admission);
                    }
                    transition.is_some()
                })
            })
            .collect();
        let opened = threads.into_iter().map(|thread| thread.join().expect("it ends"));
        assert_eq!(
            opened.filter(|has_opened| *has_opened).count(),
            1,
            "one call makes it half-open"
        );
        // What was given back is free again.
        let inside = inside.load(CounterOrdering::SeqCst);
        let free = (0..6)
            .take_while(|_| circuit.admit(Entrant::Call, OPEN_TIME).0.is_ok())
            .count();
        assert_eq!(inside + free as u64, HALF_OPEN_CALLS);
    };
    shuttle::check_random(check, SCHEDULES);
}

#[test]
fn the_results_of_a_half_open_circuit_decide_once() {
    let check = || {
        let circuit = Arc::new(open());
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let circuit = Arc::clone(&circuit);
                shuttle::thread::spawn(move || {
                    let (admission, first) = circuit.admit(Entrant::Call, OPEN_TIME);
                    let sample = if number == 0 { BAD } else { GOOD };
                    let second = admission
                        .ok()
                        .and_then(|admission| circuit.record(admission, OPEN_TIME, sample));
                    [first, second].map(|transition| transition.map(|transition| transition.to))
                })
            })
            .collect();
        let mut changes: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("it ends"))
            .flatten()
            .collect();
        changes.sort_by_key(|state| state.name());
        // One failure in three results is less than half: it closes, if three came to be inside, and never twice.
        let closed = [CircuitState::Closed, CircuitState::HalfOpen];
        assert!(changes == closed || changes == closed[1..], "{changes:?}");
        assert_eq!(circuit.state() == CircuitState::Closed, changes == closed);
    };
    shuttle::check_random(check, SCHEDULES);
}

#[test]
fn no_result_of_a_closed_circuit_is_lost() {
    let check = || {
        // 5 failures and 5 successes are half: it opens with the tenth result, whichever that is.
        let circuit = Arc::new(circuit(20, 10));
        let threads: Vec<_> = [BAD, GOOD]
            .into_iter()
            .map(|sample| {
                let circuit = Arc::clone(&circuit);
                shuttle::thread::spawn(move || {
                    (0..5)
                        .filter_map(|_| {
                            let (admission, _) = circuit.admit(Entrant::Call, Duration::ZERO);
                            circuit.record(admission.ok()?, Duration::ZERO, sample)
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let changes: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("it ends"))
            .collect();
        let [change] = changes.as_slice() else {
            panic!("{changes:?}");
        };
        let counts = change.counts;
        assert_eq!((counts.calls, counts.failures, counts.slow), (10, 5, 0));
        assert_eq!(circuit.state(), CircuitState::Open);
    };
    shuttle::check_random(check, SCHEDULES);
}

#[test]
fn what_ends_in_another_state_than_it_began_in_does_not_count() {
    let check = || {
        let circuit = Arc::new(circuit(4, 2));
        let late = circuit.admit(Entrant::Call, Duration::ZERO).0.expect("closed");
        let other = Arc::clone(&circuit);
        let opens = shuttle::thread::spawn(move || {
            for _ in 0..2 {
                let (admission, _) = other.admit(Entrant::Call, Duration::ZERO);
                if let Ok(admission) = admission {
                    other.record(admission, Duration::ZERO, BAD);
                }
            }
            other.admit(Entrant::Call, OPEN_TIME).0.is_ok()
        });
        circuit.record(late, Duration::ZERO, BAD);
        // Three failures, of which two suffice: the third changes nothing, whichever it is.
        assert!(opens.join().expect("it ends"), "its time is over");
        assert_eq!(circuit.state(), CircuitState::HalfOpen);
        assert_eq!(circuit.record(late, OPEN_TIME, GOOD), None);
        assert_eq!(circuit.state(), CircuitState::HalfOpen);
    };
    shuttle::check_random(check, SCHEDULES);
}
