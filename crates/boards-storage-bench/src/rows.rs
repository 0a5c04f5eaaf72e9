//! What is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::contenders::{Contender, Result};

/// How many tasks work at once where a row says so.
const TASKS: usize = 16;
const SMALL_BYTES: usize = 4 * 1024;
const SMALL_OBJECTS: usize = 8_000;
const MEDIUM_BYTES: usize = 1024 * 1024;
const MEDIUM_OBJECTS: usize = 512;
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

impl Row {
    pub(crate) const ALL: &'static [Self] = &[
        Self::PutSmall,
        Self::GetSmall,
        Self::StatSmall,
        Self::PutMedium,
        Self::GetMedium,
        Self::PutStream,
        Self::GetStream,
        Self::List,
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

    /// Returns how many units one run moves.
    fn units(self) -> f64 {
        let units = match self {
            Self::PutSmall | Self::GetSmall | Self::StatSmall => SMALL_OBJECTS,
            Self::PutMedium | Self::GetMedium => MEDIUM_OBJECTS,
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
    async fn prepare(self, contender: &Arc<dyn Contender>) -> Result<()> {
        match self {
            Self::PutSmall | Self::PutMedium | Self::PutStream => Ok(()),
            Self::GetSmall | Self::StatSmall => {
                put_many(contender, self.folder(), SMALL_OBJECTS, SMALL_BYTES).await
            }
            Self::GetMedium => put_many(contender, self.folder(), MEDIUM_OBJECTS, MEDIUM_BYTES).await,
            Self::GetStream => {
                contender
                    .put_stream("stream/object", noise(PIECE_BYTES), PIECES)
                    .await
            }
            Self::List => put_many(contender, self.folder(), LISTED_OBJECTS, 1).await,
        }
    }

    /// Does the row's work once.
    async fn run(self, contender: &Arc<dyn Contender>, round: u32) -> Result<()> {
        let fresh = format!("{}/{round}", self.folder());
        match self {
            Self::PutSmall => put_many(contender, &fresh, SMALL_OBJECTS, SMALL_BYTES).await,
            Self::PutMedium => put_many(contender, &fresh, MEDIUM_OBJECTS, MEDIUM_BYTES).await,
            Self::PutStream => contender.put_stream(&fresh, noise(PIECE_BYTES), PIECES).await,
            Self::GetSmall => {
                each(SMALL_OBJECTS, contender, move |contender, index| async move {
                    expect(contender.get(&key_of("small", index)).await?, SMALL_BYTES)
                })
                .await
            }
            Self::StatSmall => {
                each(SMALL_OBJECTS, contender, move |contender, index| async move {
                    expect(contender.stat(&key_of("small", index)).await?, SMALL_BYTES as u64)
                })
                .await
            }
            Self::GetMedium => {
                each(MEDIUM_OBJECTS, contender, move |contender, index| async move {
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

    /// Removes what a run made.
    async fn clean(self, contender: &Arc<dyn Contender>, round: u32) -> Result<()> {
        let fresh = format!("{}/{round}", self.folder());
        match self {
            Self::PutSmall => delete_many(contender, &fresh, SMALL_OBJECTS).await,
            Self::PutMedium => delete_many(contender, &fresh, MEDIUM_OBJECTS).await,
            Self::PutStream => contender.delete(&fresh).await,
            Self::GetSmall | Self::StatSmall | Self::GetMedium | Self::GetStream | Self::List => Ok(()),
        }
    }
}

/// One contender's rates, round by round.
pub(crate) type Rates = Vec<f64>;

/// Measures one row: every round runs every contender once, each round beginning with another. Returns the rates of
/// each contender by round.
pub(crate) async fn measure(row: Row, contenders: &[Arc<dyn Contender>], rounds: u32) -> Result<Vec<Rates>> {
    for contender in contenders {
        row.prepare(contender).await?;
        // Warms caches, pools and threads up.
        row.run(contender, u32::MAX).await?;
        row.clean(contender, u32::MAX).await?;
    }
    let mut rates = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let index = (turn + usize::try_from(round)?) % contenders.len();
            let begin = Instant::now();
            row.run(&contenders[index], round).await?;
            rates[index].push(row.units() / begin.elapsed().as_secs_f64());
            row.clean(&contenders[index], round).await?;
            // What one left to be done in the background is not the next one's burden.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(rates)
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
