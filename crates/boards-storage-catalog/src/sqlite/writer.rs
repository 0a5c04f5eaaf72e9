//! The one task that writes, and how calls that wait at the same time share a transaction.
//!
//! Each artifact needs two durable transactions, and flushing the disk is what they cost. So calls queue up while a
//! transaction is flushed, and all that wait then are the next one. A call that is *refused* has written nothing. When
//! the *database* fails in one of them, the whole transaction is taken back and each call is tried alone: a failure
//! harms nobody else. The task alone has the connection, so a dropped call can never leave a transaction open.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boards_storage_core::{BoxFuture, Error, Result};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connect::{BUSY_PATIENCE, connect_writer};
use super::error::{closed, is_busy, translate};

/// The pause between two waits for other processes, which SQLite skips in rare states of the log.
const BUSY_PAUSE: Duration = Duration::from_millis(1);

/// How many calls may wait; further ones wait for a place.
const QUEUE_LENGTH: usize = 256;

/// How many calls share a transaction at most, so that other processes get their turn.
const GROUP_MAX: usize = 128;

/// Something to write. It may be done more than once, but takes effect once.
pub(super) trait Write: Send + Sync + 'static {
    type Answer: Send + 'static;

    /// Does it in the transaction that is open.
    fn write(
        &self,
        connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Self::Answer, Unwritten>> + Send;
}

/// Why nothing was written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The contract says no. To be said before anything is written.
    Refused(Error),
    /// The database failed, perhaps half-way.
    Failed(sqlx::Error),
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Unwritten {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// The queue to the writing task.
pub(super) struct Writer {
    path: PathBuf,
    running: Mutex<Option<Running>>,
}

/// Dropping it ends the task; what is not committed by then is taken back.
struct Running {
    queue: mpsc::Sender<Box<dyn Job>>,
    task: JoinSet<()>,
}

impl Writer {
    /// Starts the task on the present runtime.
    pub(super) fn start(path: PathBuf, connection: SqliteConnection) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        let group = Group {
            path: path.clone(),
            connection: Some(connection),
            patience: BUSY_PATIENCE,
        };
        let mut task = JoinSet::new();
        task.spawn(group.serve(jobs));
        Self {
            path,
            running: Mutex::new(Some(Running { queue, task })),
        }
    }

    /// Writes durably, and returns the answer.
    pub(super) async fn run<W: Write>(&self, write: W) -> Result<W::Answer> {
        let (reply, answer) = oneshot::channel();
        let queue = self.running().as_ref().map(|running| running.queue.clone());
        let queue = queue.ok_or_else(|| closed(&self.path))?;
        let job = Box::new(Waiting {
            write,
            answer: None,
            reply,
        });
        queue.send(job).await.map_err(|_unsent| closed(&self.path))?;
        // Else the sender would keep the task alive while it is closed.
        drop(queue);
        answer.await.map_err(|_ended| closed(&self.path))?
    }

    /// Does what is in the queue, then ends the task.
    pub(super) async fn close(&self) {
        let running = self.running().take();
        if let Some(Running { queue, mut task }) = running {
            drop(queue);
            while task.join_next().await.is_some() {}
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in the queue, whatever its type.
trait Job: Send {
    /// Whether somebody still waits for the answer.
    fn is_awaited(&self) -> bool;

    /// Does it, and keeps the answer until the transaction is durable.
    fn write<'a>(&'a mut self, connection: &'a mut SqliteConnection) -> BoxFuture<'a, sqlx::Result<()>>;

    /// Gives the answer.
    fn acknowledge(self: Box<Self>);

    /// Gives an error instead.
    fn fail(self: Box<Self>, error: Error);
}

struct Waiting<W: Write> {
    write: W,
    answer: Option<Result<W::Answer>>,
    reply: oneshot::Sender<Result<W::Answer>>,
}

impl<W: Write> Job for Waiting<W> {
    fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    fn write<'a>(&'a mut self, connection: &'a mut SqliteConnection) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            self.answer = Some(match self.write.write(connection).await {
                Ok(answer) => Ok(answer),
                Err(Unwritten::Refused(error)) => Err(error),
                Err(Unwritten::Failed(error)) => return Err(error),
            });
            Ok(())
        })
    }

    fn acknowledge(self: Box<Self>) {
        let answer = self
            .answer
            .expect("a job is acknowledged after its transaction, which wrote it");
        // Nobody listens if the call was dropped meanwhile.
        let _ = self.reply.send(answer);
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.reply.send(Err(error));
    }
}

/// The task.
struct Group {
    path: PathBuf,
    /// Discarded after a failure, because nobody knows its state then.
    connection: Option<SqliteConnection>,
    /// How long to wait for other processes.
    patience: Duration,
}

impl Group {
    async fn serve(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        let mut waiting = Vec::with_capacity(GROUP_MAX);
        while jobs.recv_many(&mut waiting, GROUP_MAX).await > 0 {
            let group = waiting.drain(..).filter(|job| job.is_awaited()).collect();
            self.settle(group).await;
        }
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, path = %self.path.display(), "the catalog was not closed properly");
        }
    }

    /// Writes the group as one transaction, or each of its jobs alone.
    async fn settle(&mut self, mut group: Vec<Box<dyn Job>>) {
        match self.write(&mut group).await {
            Ok(()) => group.into_iter().for_each(Job::acknowledge),
            // What stopped the group before its first job would stop each of them, after as long a wait.
            Err(error) if group.len() == 1 || is_busy(&error) => {
                let error = Arc::new(error);
                group
                    .into_iter()
                    .for_each(|job| job.fail(translate(&error, &self.path)));
            }
            Err(_of_one) => {
                for job in group {
                    Box::pin(self.settle(vec![job])).await;
                }
            }
        }
    }

    /// Writes all as one transaction, waiting for other processes.
    async fn write(&mut self, group: &mut [Box<dyn Job>]) -> sqlx::Result<()> {
        let deadline = Instant::now() + self.patience;
        loop {
            match self.try_write(group).await {
                Err(error) if is_busy(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(BUSY_PAUSE).await
                }
                settled => return settled,
            }
        }
    }

    async fn try_write(&mut self, group: &mut [Box<dyn Job>]) -> sqlx::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect_writer(&self.path).await?,
        };
        let settled = write_all(&mut connection, group).await;
        // The lock is refused before anything happens; after any other failure the connection's state is uncertain.
        if settled.as_ref().err().is_none_or(is_busy) {
            self.connection = Some(connection);
        }
        settled
    }
}

/// One transaction. It is immediate: one that reads first and then wants to write could meet another's and fail.
async fn write_all(connection: &mut SqliteConnection, group: &mut [Box<dyn Job>]) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for job in group {
        job.write(&mut transaction).await?;
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use boards_storage_core::{ErrorKind, Retry, VersionId};
    use sqlx::Executor;

    use super::*;
    use crate::sqlite::connect::open_writer;
    use crate::sqlite::settle::Abandon;

    /// Writes rows into a table of its own.
    struct Rows(u32);

    impl Write for Rows {
        type Answer = ();

        async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Unwritten> {
            for _ in 0..self.0 {
                connection
                    .execute("INSERT INTO rows VALUES (zeroblob(4000))")
                    .await?;
            }
            Ok(())
        }
    }

    async fn group(path: &Path) -> Group {
        let mut connection = open_writer(path).await.expect("created");
        connection
            .execute("CREATE TABLE rows (bytes BLOB)")
            .await
            .expect("made");
        Group {
            path: path.to_owned(),
            connection: Some(connection),
            patience: Duration::from_millis(100),
        }
    }

    fn job<W: Write>(write: W) -> (Box<dyn Job>, oneshot::Receiver<Result<W::Answer>>) {
        let (reply, answer) = oneshot::channel();
        (
            Box::new(Waiting {
                write,
                answer: None,
                reply,
            }),
            answer,
        )
    }

    async fn count(path: &Path) -> i64 {
        let mut connection = connect_writer(path).await.expect("connected");
        sqlx::query_scalar("SELECT count(*) FROM rows")
            .fetch_one(&mut connection)
            .await
            .expect("counted")
    }

    #[tokio::test]
    async fn a_lock_that_others_keep_is_unavailable_and_to_be_retried() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalog.db");
        let mut group = group(&path).await;
        let mut other = connect_writer(&path).await.expect("connected");
        other.execute("BEGIN IMMEDIATE").await.expect("locked");
        let ((first, first_answer), (second, second_answer)) =
            (job(Rows(1)), job(Abandon(VersionId::fresh())));
        let begun = Instant::now();
        group.settle(vec![first, second]).await;
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "they wait together, not one after the other"
        );
        let errors = [
            first_answer.await.expect("answered").expect_err("locked"),
            second_answer.await.expect("answered").expect_err("locked"),
        ];
        for error in errors {
            assert_eq!(
                (error.kind(), error.retry()),
                (ErrorKind::ProviderUnavailable, Retry::Yes),
                "{error:?}"
            );
        }
        other.execute("ROLLBACK").await.expect("released");
        let (third, answer) = job(Rows(1));
        group.settle(vec![third]).await;
        answer.await.expect("answered").expect("written");
        assert_eq!(count(&path).await, 1);
    }

    #[tokio::test]
    async fn a_full_disk_takes_back_the_call_and_the_next_ones_work() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalog.db");
        let mut group = group(&path).await;
        let connection = group.connection.as_mut().expect("connected");
        connection
            .execute("PRAGMA max_page_count = 100")
            .await
            .expect("limited");
        let (large, answer) = job(Rows(1000));
        group.settle(vec![large]).await;
        let error = answer.await.expect("answered").expect_err("full");
        assert_eq!(error.kind(), ErrorKind::InsufficientStorage, "{error:?}");
        assert_eq!(count(&path).await, 0, "nothing of it is left");
        let (small, answer) = job(Rows(3));
        group.settle(vec![small]).await;
        answer.await.expect("answered").expect("written");
        assert_eq!(count(&path).await, 3);
    }

    #[tokio::test]
    async fn a_dropped_call_is_not_begun() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalog.db");
        let group = group(&path).await;
        let (queue, jobs) = mpsc::channel(4);
        let ((dropped, unheard), (kept, answer)) = (job(Rows(5)), job(Rows(1)));
        drop(unheard);
        queue.send(dropped).await.expect("queued");
        queue.send(kept).await.expect("queued");
        drop(queue);
        group.serve(jobs).await;
        answer.await.expect("answered").expect("written");
        assert_eq!(count(&path).await, 1);
    }
}
