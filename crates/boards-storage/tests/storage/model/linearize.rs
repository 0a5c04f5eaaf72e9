//! Whether what several tasks saw of one thing can have happened in some order.
//!
//! Each call takes effect at some instant between its beginning and its end. The check goes through these instants in
//! time, and keeps every state that the thing can be in; an answer that no state explains is a violation. A call whose
//! outcome is unknown leaves both states, and later answers narrow them.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::hash::Hash;

/// A call with its time, counted in steps of the run.
#[derive(Debug)]
pub(crate) struct Event<O> {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) call: O,
}

/// How calls change one thing.
pub(crate) trait Thing {
    type State: Clone + Eq + Hash + Debug;
    type Call: Debug;

    /// Returns the states after the call has taken effect, once, and was answered as it was, if it was; none if it
    /// cannot have been answered so in this state.
    fn answered(&self, state: &Self::State, call: &Self::Call) -> Vec<Self::State>;

    /// Returns the states after an attempt of the call has taken effect whose answer was lost; it may happen again.
    fn attempted(&self, state: &Self::State, call: &Self::Call) -> Vec<Self::State>;

    /// Says whether the answer tells what became of the call.
    fn is_known(&self, call: &Self::Call) -> bool;
}

/// The index of a call, and what the thing could have been then.
pub(crate) type Unexplained<S> = (usize, Vec<S>);

/// Checks a history; the error is the index of the first call whose answer nothing explains, and what the thing could
/// have been then.
pub(crate) fn check<T: Thing>(
    thing: &T,
    start: T::State,
    history: &[Event<T::Call>],
) -> Result<HashSet<T::State>, Unexplained<T::State>> {
    let mut instants: Vec<(u64, usize)> = Vec::new();
    for (index, event) in history.iter().enumerate() {
        instants.extend([(event.began, index), (event.ended, index)]);
    }
    instants.sort_unstable();
    let mut open: BTreeSet<usize> = BTreeSet::new();
    // Each with the open calls that were answered already, though they end later.
    let mut states: HashSet<(T::State, BTreeSet<usize>)> = HashSet::from([(start, BTreeSet::new())]);
    for (_, index) in instants {
        if open.insert(index) {
            continue;
        }
        let all = closure(thing, &states, &open, history);
        let is_known = thing.is_known(&history[index].call);
        let before = states;
        states = all
            .into_iter()
            .filter(|(_, answered)| !is_known || answered.contains(&index))
            .map(|(state, mut answered)| {
                answered.remove(&index);
                (state, answered)
            })
            .collect();
        open.remove(&index);
        if states.is_empty() {
            return Err((index, before.into_iter().map(|(state, _)| state).collect()));
        }
    }
    Ok(states.into_iter().map(|(state, _)| state).collect())
}

type Configuration<S> = (S, BTreeSet<usize>);

/// Everything that the open calls can have done so far.
fn closure<T: Thing>(
    thing: &T,
    from: &HashSet<Configuration<T::State>>,
    open: &BTreeSet<usize>,
    history: &[Event<T::Call>],
) -> HashSet<Configuration<T::State>> {
    let mut all = from.clone();
    let mut fresh: Vec<_> = from.iter().cloned().collect();
    while let Some((state, answered)) = fresh.pop() {
        for index in open.iter().filter(|index| !answered.contains(index)) {
            let call = &history[*index].call;
            let mut add = |state: T::State, answered: BTreeSet<usize>| {
                let next = (state, answered);
                if !all.contains(&next) {
                    all.insert(next.clone());
                    fresh.push(next);
                }
            };
            for next in thing.attempted(&state, call) {
                add(next, answered.clone());
            }
            for next in thing.answered(&state, call) {
                let mut answered = answered.clone();
                answered.insert(*index);
                add(next, answered);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that is written and read; a write may stay unanswered.
    struct Number;

    #[derive(Debug)]
    enum Call {
        Write(u8),
        Lost(u8),
        Read(u8),
    }

    impl Thing for Number {
        type State = u8;
        type Call = Call;

        fn answered(&self, state: &u8, call: &Call) -> Vec<u8> {
            match call {
                Call::Write(value) | Call::Lost(value) => vec![*value],
                Call::Read(value) => (value == state).then_some(*value).into_iter().collect(),
            }
        }

        fn attempted(&self, _: &u8, call: &Call) -> Vec<u8> {
            match call {
                Call::Write(value) | Call::Lost(value) => vec![*value],
                Call::Read(_) => Vec::new(),
            }
        }

        fn is_known(&self, call: &Call) -> bool {
            !matches!(call, Call::Lost(_))
        }
    }

    #[track_caller]
    fn verify(history: Vec<(u64, u64, Call)>, expected: Result<&[u8], usize>) {
        let history: Vec<_> = history
            .into_iter()
            .map(|(began, ended, call)| Event { began, ended, call })
            .collect();
        let found = check(&Number, 0, &history).map_err(|(index, _)| index);
        let found = found.map(|states| states.into_iter().collect::<BTreeSet<_>>());
        assert_eq!(
            found,
            expected.map(|states| states.iter().copied().collect()),
            "{history:?}"
        );
    }

    #[test]
    fn reads_see_the_last_write_and_no_other() {
        verify(vec![(1, 2, Call::Write(1)), (3, 4, Call::Read(1))], Ok(&[1]));
        verify(vec![(1, 2, Call::Write(1)), (3, 4, Call::Read(0))], Err(1));
        verify(vec![(1, 4, Call::Write(1)), (2, 3, Call::Read(0))], Ok(&[1]));
        let back = vec![
            (1, 6, Call::Write(1)),
            (2, 3, Call::Read(1)),
            (4, 5, Call::Read(0)),
        ];
        verify(back, Err(2));
    }

    #[test]
    fn an_unknown_outcome_leaves_both_states_until_a_read_tells() {
        verify(vec![(1, 2, Call::Lost(1))], Ok(&[0, 1]));
        verify(vec![(1, 2, Call::Lost(1)), (3, 4, Call::Read(1))], Ok(&[1]));
        verify(
            vec![
                (1, 2, Call::Lost(1)),
                (3, 4, Call::Read(0)),
                (5, 6, Call::Read(1)),
            ],
            Err(2),
        );
    }

    #[test]
    fn a_repeated_write_may_take_effect_twice() {
        let twice = vec![
            (1, 8, Call::Write(1)),
            (2, 3, Call::Read(1)),
            (4, 5, Call::Write(2)),
            (6, 7, Call::Read(2)),
            (9, 10, Call::Read(1)),
        ];
        verify(twice, Ok(&[1]));
    }
}
