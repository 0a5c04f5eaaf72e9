//! Queries a Parquet table that is an artifact, through the bridge to `object_store`.

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Array, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use boards_storage::SharedProvider;
use boards_storage::bridges::ProviderStore;
use boards_storage::prelude::{ArtifactType, Content, NewArtifact, Storage};
use boards_storage_local::{LocalProvider, LocalSettings};
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ArrowReaderOptions, RowFilter};
use parquet::arrow::async_reader::{AsyncFileReader, MetadataSuffixFetch};
use parquet::arrow::{ArrowWriter, ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;

type Outcome<T> = Result<T, Box<dyn Error>>;
type Fetched<T> = Result<T, ParquetError>;

/// The table: `board` rises slowly, `score` is what is asked for.
const ROWS: i64 = 1_000_000;
const ROWS_OF_A_BOARD: i64 = 1_000;
const ROWS_OF_A_GROUP: usize = 50_000;
const ASKED: i64 = 321;

#[tokio::main]
async fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let provider = LocalProvider::open("files", LocalSettings::new(folder.path())).await?;
    let provider: SharedProvider = Arc::new(provider);
    let storage = Storage::builder()
        .provider("files", Arc::clone(&provider))
        .open()
        .await?;

    let table = table()?;
    let size = table.len() as u64;
    let artifact =
        NewArtifact::new(ArtifactType::Dataset).with_content_type("application/vnd.apache.parquet".parse()?);
    let reference = storage
        .store_artifact(artifact, Content::from_bytes(table))
        .await?;

    let store: Arc<dyn ObjectStore> = Arc::new(ProviderStore::new(provider));
    let path = Path::parse(reference.storage_key.as_str())?;
    let read = Arc::new(AtomicU64::new(0));
    let reader = Counted {
        store,
        path,
        read: Arc::clone(&read),
    };
    let (rows, sum) = query(reader).await?;

    let first = ASKED * ROWS_OF_A_BOARD;
    let expected: f64 = (first..first + ROWS_OF_A_BOARD).map(score).sum();
    let read = read.load(Ordering::Relaxed);
    println!("artifact {}: {size} bytes, {ROWS} rows", reference.storage_key);
    println!("select sum(score) where board = {ASKED}: {sum} of {rows} rows");
    println!(
        "read {read} bytes, {:.1} % of the artifact",
        read as f64 * 100.0 / size as f64
    );
    if rows != ROWS_OF_A_BOARD as usize || (sum - expected).abs() > 1e-6 {
        return Err(format!("the answer is wrong: expected {expected} of {ROWS_OF_A_BOARD} rows").into());
    }
    if read * 5 > size {
        return Err("more than a fifth of the artifact was read".into());
    }
    Ok(())
}

fn score(row: i64) -> f64 {
    // Hard to compress, and exact in a float.
    (row.wrapping_mul(2_654_435_761) % 1_000_003) as f64 / 8.0
}

/// Writes the table as a Parquet file in memory.
fn table() -> Outcome<Bytes> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("board", DataType::Int64, false),
        Field::new("score", DataType::Float64, false),
    ]));
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(ROWS_OF_A_GROUP));
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, Arc::clone(&schema), Some(properties.build()))?;
    for group in 0..ROWS / ROWS_OF_A_GROUP as i64 {
        let rows = group * ROWS_OF_A_GROUP as i64..(group + 1) * ROWS_OF_A_GROUP as i64;
        let boards = Int64Array::from_iter_values(rows.clone().map(|row| row / ROWS_OF_A_BOARD));
        let scores = Float64Array::from_iter_values(rows.map(score));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(boards), Arc::new(scores)])?;
        writer.write(&batch)?;
    }
    writer.close()?;
    Ok(file.into())
}

/// Answers how many rows the asked board has, and the sum of their scores.
async fn query(reader: Counted) -> Outcome<(usize, f64)> {
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
    let metadata = Arc::clone(builder.metadata());
    let groups = (0..metadata.num_row_groups())
        .filter(|group| may_have(&metadata, *group))
        .collect();
    let schema = builder.parquet_schema();
    let (board, score) = (
        ProjectionMask::columns(schema, ["board"]),
        ProjectionMask::columns(schema, ["score"]),
    );
    let is_asked = ArrowPredicateFn::new(board, |batch| {
        arrow_ord::cmp::eq(batch.column(0), &Int64Array::new_scalar(ASKED))
    });
    let batches = builder
        .with_row_groups(groups)
        .with_row_filter(RowFilter::new(vec![Box::new(is_asked)]))
        .with_projection(score)
        .build()?;
    let batches: Vec<RecordBatch> = batches.try_collect().await?;
    let mut answer = (0, 0.0);
    for batch in batches {
        let scores = batch.column(0).as_any().downcast_ref::<Float64Array>();
        let scores = scores.ok_or("the column has another type")?;
        answer.0 += scores.len();
        answer.1 += scores.values().iter().sum::<f64>();
    }
    Ok(answer)
}

/// Whether the statistics of a row group leave room for the asked board.
fn may_have(metadata: &ParquetMetaData, group: usize) -> bool {
    match metadata.row_group(group).column(0).statistics() {
        Some(Statistics::Int64(statistics)) => {
            statistics.min_opt().is_none_or(|least| *least <= ASKED)
                && statistics.max_opt().is_none_or(|most| *most >= ASKED)
        }
        _ => true,
    }
}

/// Arrow's reader of a Parquet file that is an object. It counts what it fetches.
struct Counted {
    store: Arc<dyn ObjectStore>,
    path: Path,
    read: Arc<AtomicU64>,
}

impl Counted {
    fn count(&self, pieces: &[Bytes]) {
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl AsyncFileReader for Counted {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Fetched<Bytes>> {
        Box::pin(async move {
            let bytes = self
                .store
                .get_range(&self.path, range)
                .await
                .map_err(fetch_failed)?;
            self.count(std::slice::from_ref(&bytes));
            Ok(bytes)
        })
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Fetched<Vec<Bytes>>> {
        Box::pin(async move {
            let pieces = self
                .store
                .get_ranges(&self.path, &ranges)
                .await
                .map_err(fetch_failed)?;
            self.count(&pieces);
            Ok(pieces)
        })
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Fetched<Arc<ParquetMetaData>>> {
        Box::pin(async move {
            let footer = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(footer.load_via_suffix_and_finish(self).await?))
        })
    }
}

impl MetadataSuffixFetch for &mut Counted {
    fn fetch_suffix(&mut self, suffix: usize) -> BoxFuture<'_, Fetched<Bytes>> {
        Box::pin(async move {
            let options = GetOptions::new().with_range(Some(GetRange::Suffix(suffix as u64)));
            let found = self
                .store
                .get_opts(&self.path, options)
                .await
                .map_err(fetch_failed)?;
            let bytes = found.bytes().await.map_err(fetch_failed)?;
            self.count(std::slice::from_ref(&bytes));
            Ok(bytes)
        })
    }
}

fn fetch_failed(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
