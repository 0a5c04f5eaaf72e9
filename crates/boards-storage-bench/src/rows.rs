//! What is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::contenders::{Contender, Result};
use crate::usage;

/// How many tasks work at once where a row says so.
const TASKS: usize = 16;
const SMALL_BYTES: usize = 4 * 1024;
const MEDIUM_BYTES: usize = 1024 * 1024;
/// One piece of the streamed object, and how many of them make 1 GiB.
const PIECE_BYTES: usize = 1024 * 1024;
const PIECES: usize = 1024;
const LISTED_OBJECTS: usize = 10_000;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    PutSmall,
    GetSmall,
    StatSmall,
    PutMedium,
    GetMedium,
    PutStream,
    GetStream,
    List,
}

/// How much a benchmark does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How many objects the rows of small ones have: enough for about a second.
    small_objects: usize,
    /// The same for those of 1 MiB.
    medium_objects: usize,
    /// How long the store has for itself between two turns.
    pause: Duration,
    /// The same where a large object was removed.
    pause_after_large: Duration,
}

impl Scale {
    pub(crate) const LOCAL: Self = Self {
        small_objects: 8_000,
        medium_objects: 512,
        pause: Duration::from_millis(20),
        pause_after_large: Duration::from_millis(20),
    };

    /// Ceph removes large objects in the background.
    #[cfg(feature = "s3")]
    pub(crate) const S3: Self = Self {
        small_objects: 1_200,
        medium_objects: 256,
        pause: Duration::from_millis(100),
        pause_after_large: Duration::from_secs(3),
    };

    fn pause_after(self, row: Row) -> Duration {
        match row {
            Row::PutStream => self.pause_after_large,
            Row::PutSmall
            | Row::GetSmall
            | Row::StatSmall
            | Row::PutMedium
            | Row::GetMedium
            | Row::GetStream
            | Row::List => self.pause,
        }
    }
}

impl Row {
    /// Those of the local provider.
    pub(crate) const LOCAL: &'static [Self] = &[
        Self::PutSmall,
        Self::GetSmall,
        Self::StatSmall,
        Self::PutMedium,
        Self::GetMedium,
        Self::PutStream,
        Self::GetStream,
        Self::List,
    ];

    /// Those of the S3 provider.
    #[cfg(feature = "s3")]
    pub(crate) const S3: &'static [Self] = &[
        Self::PutSmall,
        Self::GetSmall,
        Self::PutMedium,
        Self::GetMedium,
        Self::PutStream,
        Self::GetStream,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PutSmall => "put 4 KiB x 16 tasks",
            Self::GetSmall => "get 4 KiB x 16 tasks",
            Self::StatSmall => "stat 4 KiB x 16 tasks",
            Self::PutMedium => "put 1 MiB x 16 tasks",
            Self::GetMedium => "get 1 MiB x 16 tasks",
            Self::PutStream => "put 1 GiB streamed",
            Self::GetStream => "get 1 GiB streamed",
            Self::List => "list 10,000",
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::PutSmall | Self::GetSmall | Self::StatSmall => "ops/s",
            Self::PutMedium | Self::GetMedium | Self::PutStream | Self::GetStream => "MiB/s",
            Self::List => "entries/s",
        }
    }

    /// Whether it moves one large object, in bounded memory.
    pub(crate) fn is_streamed(self) -> bool {
        matches!(self, Self::PutStream | Self::GetStream)
    }

    /// Returns how many units one run moves.
    fn units(self, scale: Scale) -> f64 {
        let units = match self {
            Self::PutSmall | Self::GetSmall | Self::StatSmall => scale.small_objects,
            Self::PutMedium | Self::GetMedium => scale.medium_objects,
            Self::PutStream | Self::GetStream => PIECES,
            Self::List => LISTED_OBJECTS,
        };
        f64::from(u32::try_from(units).expect("a small number"))
    }

    fn folder(self) -> &'static str {
        match self {
            Self::PutSmall => "put-small",
            Self::GetSmall | Self::StatSmall => "small",
            Self::PutMedium => "put-medium",
            Self::GetMedium => "medium",
            Self::PutStream => "put-stream",
            Self::GetStream => "stream",
            Self::List => "list",
        }
    }

    /// Makes what the row reads.
    async fn prepare(self, scale: Scale, contender: &Arc<dyn Contender>) -> Result<()> {
        match self {
            Self::PutSmall | Self::PutMedium | Self::PutStream => Ok(()),
            Self::GetSmall | Self::StatSmall => {
                put_many(contender, self.folder(), scale.small_objects, SMALL_BYTES).await
            }
            Self::GetMedium => put_many(contender, self.folder(), scale.medium_objects, MEDIUM_BYTES).await,
            Self::GetStream => {
                contender
                    .put_stream("stream/object", noise(PIECE_BYTES), PIECES)
                    .await
            }
            Self::List => put_many(contender, self.folder(), LISTED_OBJECTS, 1).await,
        }
    }

    /// Does the row's work once.
    async fn run(self, scale: Scale, contender: &Arc<dyn Contender>, round: u32) -> Result<()> {
        let fresh = format!("{}/{round}", self.folder());
        let (small, medium) = (scale.small_objects, scale.medium_objects);
        match self {
            Self::PutSmall => put_many(contender, &fresh, small, SMALL_BYTES).await,
            Self::PutMedium => put_many(contender, &fresh, scale.medium_objects, MEDIUM_BYTES).await,
            Self::PutStream => contender.put_stream(&fresh, noise(PIECE_BYTES), PIECES).await,
            Self::GetSmall => {
                each(small, contender, move |contender, index| async move {
                    expect(contender.get(&key_of("small", index)).await?, SMALL_BYTES)
                })
                .await
            }
            Self::StatSmall => {
                each(small, contender, move |contender, index| async move {
                    expect(contender.stat(&key_of("small", index)).await?, SMALL_BYTES as u64)
                })
                .await
            }
            Self::GetMedium => {
                each(medium, contender, move |contender, index| async move {
                    expect(contender.get(&key_of("medium", index)).await?, MEDIUM_BYTES)
                })
                .await
            }
            Self::GetStream => expect(
                contender.get_stream("stream/object").await?,
                (PIECE_BYTES * PIECES) as u64,
            ),
            Self::List => expect(contender.list(self.folder()).await?, LISTED_OBJECTS),
        }
    }

    /// Removes what was made for the row.
    async fn finish(self, scale: Scale, contender: &Arc<dyn Contender>) -> Result<()> {
        match self {
            Self::PutSmall | Self::PutMedium | Self::PutStream => Ok(()),
            Self::GetSmall | Self::StatSmall => {
                delete_many(contender, self.folder(), scale.small_objects).await
            }
            Self::GetMedium => delete_many(contender, self.folder(), scale.medium_objects).await,
            Self::GetStream => contender.delete("stream/object").await,
            Self::List => delete_many(contender, self.folder(), LISTED_OBJECTS).await,
        }
    }

    /// Removes what a run made.
    async fn clean(self, scale: Scale, contender: &Arc<dyn Contender>, round: u32) -> Result<()> {
        let fresh = format!("{}/{round}", self.folder());
        match self {
            Self::PutSmall => delete_many(contender, &fresh, scale.small_objects).await,
            Self::PutMedium => delete_many(contender, &fresh, scale.medium_objects).await,
            Self::PutStream => contender.delete(&fresh).await,
            Self::GetSmall | Self::StatSmall | Self::GetMedium | Self::GetStream | Self::List => Ok(()),
        }
    }
}

/// One run of a row by one contender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Units per second.
    pub(crate) rate: f64,
    /// Seconds of processor time of this process.
    pub(crate) cpu: f64,
    /// The peak of memory in MiB, where the system tells.
    pub(crate) peak_mib: Option<f64>,
}

/// One contender's turns, round by round.
pub(crate) type Turns = Vec<Turn>;

/// Measures one row: every round runs every contender once, each round beginning with another. Returns the turns of
/// each contender by round.
pub(crate) async fn measure(
    row: Row,
    scale: Scale,
    contenders: &[Arc<dyn Contender>],
    rounds: u32,
) -> Result<Vec<Turns>> {
    for contender in contenders {
        row.prepare(scale, contender).await?;
        // Warms caches, pools and threads up.
        row.run(scale, contender, u32::MAX).await?;
        row.clean(scale, contender, u32::MAX).await?;
    }
    let mut turns = vec![Vec::new(); contenders.len()];
    let pause = scale.pause_after(row);
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let index = (turn + usize::try_from(round)?) % contenders.len();
            turns[index].push(run_once(row, scale, &contenders[index], round).await?);
            row.clean(scale, &contenders[index], round).await?;
            // What one left to be done in the background is not the next one's burden.
            tokio::time::sleep(pause).await;
        }
    }
    for contender in contenders {
        row.finish(scale, contender).await?;
    }
    Ok(turns)
}

async fn run_once(row: Row, scale: Scale, contender: &Arc<dyn Contender>, round: u32) -> Result<Turn> {
    usage::forget_peak();
    let (begin, cpu_begin) = (Instant::now(), usage::cpu());
    row.run(scale, contender, round).await?;
    let (elapsed, cpu) = (begin.elapsed(), usage::cpu() - cpu_begin);
    Ok(Turn {
        rate: row.units(scale) / elapsed.as_secs_f64(),
        cpu: cpu.as_secs_f64(),
        peak_mib: usage::peak_mib(),
    })
}

async fn put_many(contender: &Arc<dyn Contender>, folder: &str, count: usize, size: usize) -> Result<()> {
    let bytes = noise(size);
    let folder: Arc<str> = Arc::from(folder);
    each(count, contender, move |contender, index| {
        let (bytes, folder) = (bytes.clone(), Arc::clone(&folder));
        async move { contender.put(&key_of(&folder, index), bytes).await }
    })
    .await
}

async fn delete_many(contender: &Arc<dyn Contender>, folder: &str, count: usize) -> Result<()> {
    let folder: Arc<str> = Arc::from(folder);
    each(count, contender, move |contender, index| {
        let folder = Arc::clone(&folder);
        async move { contender.delete(&key_of(&folder, index)).await }
    })
    .await
}

fn key_of(folder: &str, index: usize) -> String {
    format!("{folder}/{index:05}.png")
}

/// Does something `count` times, shared among the tasks.
async fn each<F, W>(count: usize, contender: &Arc<dyn Contender>, work: W) -> Result<()>
where
    W: Fn(Arc<dyn Contender>, usize) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (work, contender) = (work.clone(), Arc::clone(contender));
            tokio::spawn(async move {
                for index in (task..count).step_by(TASKS) {
                    work(Arc::clone(&contender), index).await?;
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        let done: Result<()> = task.await?;
        done?;
    }
    Ok(())
}

fn expect<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("found {found:?}, expected {expected:?}").into())
    }
}

/// Returns bytes that look random.
fn noise(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    Bytes::from(bytes)
}
