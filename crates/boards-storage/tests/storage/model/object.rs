//! How calls change one object, and what an answer says of it.

use boards_storage::{Checksum, DeleteOutcome, ETag, ObjectMetadata};
use bytes::Bytes;

use super::linearize::Thing;

/// The name of the user metadata that tells attributes apart.
pub(crate) const MARK: &str = "mark";

/// What is at a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Absent,
    Present(Object),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Object {
    /// The number of its content.
    content: usize,
    /// The call that wrote it; a change of attributes leaves it.
    writer: usize,
    /// Its attributes and tag, as far as they are known yet.
    mark: Option<u32>,
    etag: Option<ETag>,
}

/// What an answer says of an object; what it does not say is `None`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) size: Option<u64>,
    pub(crate) size_max: Option<u64>,
    pub(crate) mark: Option<u32>,
    pub(crate) etag: Option<ETag>,
    pub(crate) not_etag: Option<ETag>,
    pub(crate) checksum: Option<Checksum>,
    /// Some of its bytes, and where they stand.
    pub(crate) bytes: Option<(u64, Bytes)>,
    /// It has one of these contents.
    pub(crate) contents: Option<Vec<usize>>,
}

impl Seen {
    /// What metadata says that came from a call for this object alone.
    pub(crate) fn of(metadata: &ObjectMetadata) -> Self {
        let mark = metadata.attributes.user_metadata.get(MARK);
        Self {
            size: Some(metadata.size_bytes),
            mark: Some(mark.map_or(0, |mark| mark.parse().expect("our own mark"))),
            etag: metadata.etag.clone(),
            checksum: metadata.checksum.clone(),
            ..Self::default()
        }
    }
}

/// What must be true of the object before.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    None,
    IfAbsent,
    IfMatch(ETag),
}

impl Condition {
    fn holds(&self, state: &State) -> bool {
        match (self, state) {
            (Self::None, _) => true,
            (Self::IfAbsent, State::Absent) => true,
            (Self::IfMatch(etag), State::Present(object)) => object.etag.as_ref() == Some(etag),
            (Self::IfAbsent, State::Present(_)) | (Self::IfMatch(_), State::Absent) => false,
        }
    }
}

/// What a change was answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// It was done, and this is what was made.
    Done(Seen),
    Deleted(DeleteOutcome),
    /// Its condition did not hold.
    Refused,
    /// What it needs was not there.
    Missing,
    /// It may have been done or not.
    Unknown,
}

/// A call as it concerns one key.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Nothing changed; `None` where there was no object.
    Read(Option<Seen>),
    Write {
        /// The contents that it may write: more than one for a copy.
        contents: Vec<usize>,
        mark: Option<u32>,
        condition: Condition,
        answer: Answer,
        /// Tells this write from all others.
        writer: usize,
    },
    Delete {
        condition: Condition,
        answer: Answer,
    },
    Describe {
        mark: u32,
        condition: Condition,
        answer: Answer,
    },
}

/// The contents of a run.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) bytes: Vec<Bytes>,
    pub(crate) checksums: Vec<Checksum>,
}

impl Contents {
    /// Returns the object with what was seen of it, if it can be that.
    fn fits(&self, object: &Object, seen: &Seen) -> Option<Object> {
        let (bytes, checksum) = (&self.bytes[object.content], &self.checksums[object.content]);
        let size = bytes.len() as u64;
        let fits = seen.size.is_none_or(|seen| seen == size)
            && seen.size_max.is_none_or(|max| size <= max)
            && seen.checksum.as_ref().is_none_or(|seen| seen == checksum)
            && seen
                .contents
                .as_ref()
                .is_none_or(|seen| seen.contains(&object.content))
            && seen
                .not_etag
                .as_ref()
                .is_none_or(|other| object.etag.as_ref() != Some(other))
            && agree(object.mark.as_ref(), seen.mark.as_ref())
            && agree(object.etag.as_ref(), seen.etag.as_ref())
            && seen.bytes.as_ref().is_none_or(|(start, seen)| {
                let start = usize::try_from(*start).expect("small");
                bytes.get(start..start + seen.len()) == Some(&seen[..])
            });
        fits.then(|| Object {
            mark: object.mark.or(seen.mark),
            etag: object.etag.clone().or_else(|| seen.etag.clone()),
            ..object.clone()
        })
    }

    /// The numbers of all contents that an answer can speak of.
    pub(crate) fn candidates(&self, seen: &Seen) -> Vec<usize> {
        let object = |content| Object {
            content,
            writer: 0,
            mark: None,
            etag: None,
        };
        (0..self.bytes.len())
            .filter(|content| self.fits(&object(*content), seen).is_some())
            .collect()
    }
}

fn agree<T: PartialEq>(known: Option<&T>, seen: Option<&T>) -> bool {
    match (known, seen) {
        (Some(known), Some(seen)) => known == seen,
        (None, _) | (_, None) => true,
    }
}

/// What is in a state that its own attempt has made: a refusal because of it would be a lie.
fn is_own(state: &State, call: &Call) -> bool {
    match (state, call) {
        (State::Present(object), Call::Write { writer, .. }) => object.writer == *writer,
        _ => false,
    }
}

impl Thing for Contents {
    type State = State;
    type Call = Call;

    fn answered(&self, state: &State, call: &Call) -> Vec<State> {
        match call {
            Call::Read(None) => keep(state, *state == State::Absent),
            Call::Read(Some(seen)) => match state {
                State::Absent => Vec::new(),
                State::Present(object) => self.fits(object, seen).map(State::Present).into_iter().collect(),
            },
            Call::Write {
                condition, answer, ..
            }
            | Call::Describe {
                condition, answer, ..
            } => match answer {
                Answer::Done(seen) => {
                    // An attempt may have made it already, and others described it since.
                    let own = is_own(state, call).then(|| state.clone());
                    let made = self.attempted(state, call).into_iter().chain(own);
                    made.filter_map(|state| match state {
                        State::Present(object) => self.fits(&object, seen).map(State::Present),
                        State::Absent => None,
                    })
                    .collect()
                }
                Answer::Refused => keep(state, !condition.holds(state) && !is_own(state, call)),
                // A copy misses its source, a completion its upload; a description its object.
                Answer::Missing => {
                    let is_there = matches!(call, Call::Describe { .. }) && *state != State::Absent;
                    keep(state, !is_there && !is_own(state, call))
                }
                Answer::Deleted(_) | Answer::Unknown => Vec::new(),
            },
            Call::Delete { condition, answer } => match answer {
                Answer::Deleted(DeleteOutcome::Absent) => keep(state, *state == State::Absent),
                Answer::Deleted(DeleteOutcome::Existed) => {
                    gone(*state != State::Absent && condition.holds(state))
                }
                Answer::Deleted(DeleteOutcome::Unknown) => {
                    gone(*state == State::Absent || condition.holds(state))
                }
                Answer::Refused => keep(state, !condition.holds(state)),
                Answer::Done(_) | Answer::Missing | Answer::Unknown => Vec::new(),
            },
        }
    }

    fn attempted(&self, state: &State, call: &Call) -> Vec<State> {
        match call {
            Call::Read(_) => Vec::new(),
            Call::Write {
                contents,
                mark,
                condition,
                writer,
                ..
            } if condition.holds(state) => {
                let object = |content: &usize| Object {
                    content: *content,
                    writer: *writer,
                    mark: *mark,
                    etag: None,
                };
                contents
                    .iter()
                    .map(|content| State::Present(object(content)))
                    .collect()
            }
            Call::Describe { mark, condition, .. } if condition.holds(state) => match state {
                State::Absent => Vec::new(),
                State::Present(object) => vec![State::Present(Object {
                    mark: Some(*mark),
                    etag: None,
                    ..object.clone()
                })],
            },
            // Who answers "there was none" has not removed it himself.
            Call::Delete {
                answer: Answer::Deleted(DeleteOutcome::Absent),
                ..
            } => Vec::new(),
            Call::Delete { condition, .. } => gone(condition.holds(state)),
            Call::Write { .. } | Call::Describe { .. } => Vec::new(),
        }
    }

    fn is_known(&self, call: &Call) -> bool {
        match call {
            Call::Read(_) => true,
            Call::Write { answer, .. } | Call::Delete { answer, .. } | Call::Describe { answer, .. } => {
                !matches!(answer, Answer::Unknown)
            }
        }
    }
}

fn keep(state: &State, fits: bool) -> Vec<State> {
    fits.then(|| state.clone()).into_iter().collect()
}

fn gone(fits: bool) -> Vec<State> {
    fits.then_some(State::Absent).into_iter().collect()
}
