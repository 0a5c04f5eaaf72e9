//! Random programs: which calls, with which arguments, by how many tasks, over which store and faults.

use std::time::Duration;

use boards_storage::ByteRange;
use boards_storage_testkit::Dice;
use boards_storage_testkit::faults::{FaultKind, FaultProfile};

/// The keys that all tasks share. A folder with two of them and one with a single one.
pub(crate) const KEYS: [&str; 5] = ["a", "b", "d/x", "d/y", "e/z"];

/// Contents have fewer bytes than this.
const CONTENT_BYTES_MAX: u64 = 3000;

/// One call of a program. Contents are named by their numbers.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Upload {
        key: usize,
        content: usize,
        source: Source,
        condition: Wish,
        naming: Naming,
    },
    Download {
        key: usize,
        range: Option<ByteRange>,
        condition: Wish,
    },
    Metadata {
        key: usize,
    },
    Exists {
        key: usize,
    },
    Delete {
        key: usize,
        condition: Wish,
    },
    DeleteMany {
        keys: Vec<usize>,
    },
    List {
        prefix: &'static str,
        delimiter: Option<&'static str>,
        start_after: Option<&'static str>,
        limit: Option<usize>,
    },
    Copy {
        from: usize,
        to: usize,
        mark: Option<u32>,
        condition: Wish,
    },
    SetMetadata {
        key: usize,
        mark: u32,
        condition: Wish,
    },
    /// An upload in parts: the parts' sizes, and how it ends.
    Parts {
        key: usize,
        content: usize,
        sizes: Vec<usize>,
        condition: Wish,
        naming: Naming,
        finish: Finish,
    },
    Presign {
        key: usize,
    },
    Probe,
    Pause(Duration),
}

/// How content is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    Bytes,
    Replayable,
    OneShot,
    /// One-shot, of a length that nobody tells.
    Unknown,
}

/// Which condition is asked for; one on a tag falls away where no tag is known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    None,
    IfAbsent,
    IfMatch,
}

/// Whether the caller names its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    Named,
    Unnamed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Complete,
    Abort,
    /// Neither: the writer goes away.
    Leave,
}

/// An action, and how long its caller waits.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) action: Action,
    /// The call's deadline.
    pub(crate) deadline: Option<Duration>,
    /// The caller drops the call after so long.
    pub(crate) patience: Option<Duration>,
}

/// What a store lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    Nothing,
    Ranges,
    WriteIds,
    Preconditions,
    ListStartAfter,
    TruthfulDeletes,
    Checksums,
}

/// A whole run.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) lack: Lack,
    pub(crate) profile: FaultProfile,
    pub(crate) tasks: Vec<Vec<Planned>>,
    /// The sizes of the contents, by their numbers.
    pub(crate) sizes: Vec<usize>,
}

impl Program {
    pub(crate) fn of(seed: u64) -> Self {
        let mut maker = Maker {
            dice: Dice::new(seed),
            sizes: Vec::new(),
            marks: 0,
        };
        let dice = &mut maker.dice;
        let lack = *dice.pick(&[
            Lack::Nothing,
            Lack::Nothing,
            Lack::Nothing,
            Lack::Ranges,
            Lack::WriteIds,
            Lack::Preconditions,
            Lack::ListStartAfter,
            Lack::TruthfulDeletes,
            Lack::Checksums,
        ]);
        let rate = *dice.pick(&[0.0, 0.02, 0.1, 0.1, 0.25, 0.25, 0.5]);
        let mut profile = FaultProfile::honest(rate);
        if dice.chance(0.25) && rate > 0.0 {
            // A store that loses answers more than anything else.
            profile = FaultProfile::honest(rate / 2.0);
            for kind in boards_storage::OperationKind::ALL {
                profile = profile.with_on(kind, FaultKind::ErrorAfter, rate / 2.0);
            }
        }
        if dice.chance(0.3) {
            // Cut downloads break the contract, and must be noticed all the same.
            profile = profile.with_on(boards_storage::OperationKind::Download, FaultKind::Truncate, 0.1);
        }
        let tasks = *dice.pick(&[1, 1, 2, 3]);
        let length = 4 + dice.index(14);
        let tasks = (0..tasks)
            .map(|_| (0..length).map(|_| maker.planned()).collect())
            .collect();
        Self {
            lack,
            profile,
            tasks,
            sizes: maker.sizes,
        }
    }
}

struct Maker {
    dice: Dice,
    sizes: Vec<usize>,
    marks: u32,
}

impl Maker {
    fn planned(&mut self) -> Planned {
        let action = self.action();
        let mut some = |probability, most: u64| {
            let chosen = self.dice.chance(probability);
            chosen.then(|| Duration::from_millis(self.dice.below(most)))
        };
        Planned {
            action,
            deadline: some(0.1, 40_000),
            patience: some(0.1, 5_000),
        }
    }

    fn action(&mut self) -> Action {
        let key = self.key();
        match self.dice.below(100) {
            0..=25 => Action::Upload {
                key,
                content: self.content(0),
                source: *self.dice.pick(&[
                    Source::Bytes,
                    Source::Replayable,
                    Source::OneShot,
                    Source::Unknown,
                ]),
                condition: self.wish(),
                naming: self.naming(),
            },
            26..=43 => Action::Download {
                key,
                range: self.range(),
                condition: *self
                    .dice
                    .pick(&[Wish::None, Wish::None, Wish::None, Wish::IfMatch]),
            },
            44..=49 => Action::Metadata { key },
            50..=53 => Action::Exists { key },
            54..=61 => Action::Delete {
                key,
                condition: *self.dice.pick(&[Wish::None, Wish::None, Wish::IfMatch]),
            },
            62..=65 => Action::DeleteMany {
                keys: (0..KEYS.len()).filter(|_| self.dice.chance(0.5)).collect(),
            },
            66..=72 => Action::List {
                prefix: self.dice.pick::<&str>(&["", "", "", "d/", "e", "x"]),
                delimiter: *self.dice.pick(&[None, None, Some("/")]),
                start_after: *self.dice.pick(&[None, None, None, Some("b")]),
                limit: *self.dice.pick(&[None, None, Some(1), Some(3)]),
            },
            73..=79 => Action::Copy {
                from: key,
                to: (key + 1 + self.dice.index(KEYS.len() - 1)) % KEYS.len(),
                mark: self.dice.chance(0.5).then(|| self.mark()),
                condition: self.wish(),
            },
            80..=84 => Action::SetMetadata {
                key,
                mark: self.mark(),
                condition: *self.dice.pick(&[Wish::None, Wish::None, Wish::IfMatch]),
            },
            85..=92 => self.parts(key),
            93..=94 => Action::Presign { key },
            95 => Action::Probe,
            _ => Action::Pause(Duration::from_millis(self.dice.below(90_000))),
        }
    }

    fn parts(&mut self, key: usize) -> Action {
        let content = self.content(1);
        let mut left = self.sizes[content];
        let mut sizes = Vec::new();
        while left > 0 {
            let size = if sizes.len() < 3 {
                1 + self.dice.index(left)
            } else {
                left
            };
            sizes.push(size);
            left -= size;
        }
        Action::Parts {
            key,
            content,
            sizes,
            condition: self.wish(),
            naming: self.naming(),
            finish: *self.dice.pick(&[
                Finish::Complete,
                Finish::Complete,
                Finish::Complete,
                Finish::Complete,
                Finish::Abort,
                Finish::Leave,
            ]),
        }
    }

    fn key(&mut self) -> usize {
        self.dice.index(KEYS.len())
    }

    /// A content that nobody else writes.
    fn content(&mut self, least: u64) -> usize {
        let size = least + self.dice.below(CONTENT_BYTES_MAX);
        let size = if self.dice.chance(0.1) {
            least + size % 3
        } else {
            size
        };
        self.sizes.push(usize::try_from(size).expect("small"));
        self.sizes.len() - 1
    }

    fn mark(&mut self) -> u32 {
        self.marks += 1;
        self.marks
    }

    fn wish(&mut self) -> Wish {
        *self
            .dice
            .pick(&[Wish::None, Wish::None, Wish::IfAbsent, Wish::IfMatch])
    }

    fn naming(&mut self) -> Naming {
        *self.dice.pick(&[Naming::Named, Naming::Unnamed])
    }

    fn range(&mut self) -> Option<ByteRange> {
        let start = self.dice.below(CONTENT_BYTES_MAX);
        match self.dice.below(4) {
            0 => Some(ByteRange::from(
                start..start + 1 + self.dice.below(CONTENT_BYTES_MAX),
            )),
            1 => Some(ByteRange::from(start..)),
            _ => None,
        }
    }
}
