//! The bytes of a download on their way out: exactly as many as were announced, or an error.

use boards_storage_core::{ByteStream, Error, ErrorKind, Result};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

/// Ends with an error where the pieces are fewer or more than `length` bytes.
pub(crate) fn exactly(length: u64, pieces: impl Stream<Item = Result<Bytes>> + Send + 'static) -> ByteStream {
    let state = Some((Box::pin(pieces), length));
    Box::pin(stream::unfold(state, |state| async move {
        let (mut pieces, left) = state?;
        match pieces.next().await {
            Some(Ok(piece)) => match left.checked_sub(piece.len() as u64) {
                Some(left) => Some((Ok(piece), Some((pieces, left)))),
                None => Some((Err(cut("more")), None)),
            },
            Some(Err(error)) => Some((Err(error), None)),
            None if left > 0 => Some((Err(cut("fewer")), None)),
            None => None,
        }
    }))
}

fn cut(what: &str) -> Error {
    Error::new(
        ErrorKind::ProviderUnavailable,
        format!("the store sent {what} bytes than it announced"),
    )
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    async fn check(length: u64, pieces: &[&'static str], complaint: Option<&str>) {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from(*piece))).collect();
        let outcome: Result<Vec<_>> = exactly(length, stream::iter(pieces)).try_collect().await;
        match complaint {
            None => assert_eq!(
                outcome.expect("whole").iter().map(Bytes::len).sum::<usize>() as u64,
                length
            ),
            Some(text) => assert!(outcome.expect_err("cut").to_string().contains(text)),
        }
    }

    #[tokio::test]
    async fn a_body_has_the_announced_length() {
        check(4, &["ab", "cd"], None).await;
        check(0, &[], None).await;
        check(5, &["ab", "cd"], Some("fewer")).await;
        check(3, &["ab", "cd"], Some("more")).await;
    }
}
