//! The HTTP side: a listener, the gateway's prefix, and what the server refuses before it looks at the route.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::Method;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::Shared;
use super::reply::{Reply, reply, set};
use super::request::{Request, decode};
use super::route::route;

/// Node's limit of all headers together.
const HEADERS_BYTES_MAX: usize = 16 << 10;
const PREFIX: &str = "/storage/v1";

pub(super) async fn listen(shared: Arc<Shared>) -> std::io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        // Ends its connections with itself.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    let shared = Arc::clone(&shared);
                    // Without it a small answer waits for the client's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(async move {
                        let service = service_fn(|request| answer(Arc::clone(&shared), request));
                        // A client that goes away is no affair of the server's.
                        let _ = http1::Builder::new()
                            .max_buf_size(256 << 10)
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Ok((address, server))
}

async fn answer(shared: Arc<Shared>, request: http::Request<Incoming>) -> Result<Reply, Infallible> {
    let (head, body) = request.into_parts();
    let size: usize = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if size > HEADERS_BYTES_MAX {
        let body = json!({
            "error": "Request Header Fields Too Large",
            "message": "Exceeded maximum allowed HTTP header size",
            "statusCode": 431,
        });
        return Ok(plain_json(431, &body.to_string()));
    }
    let path = head.uri.path();
    let path = match path.strip_prefix(PREFIX) {
        Some(rest) if shared.options.gateway => rest,
        Some(_) | None if shared.options.gateway => {
            return Ok(plain_json(
                404,
                r#"{"message":"no Route matched with those values"}"#,
            ));
        }
        Some(_) | None => path,
    };
    if decode(path).is_none() {
        let body = json!({
            "error": "Bad Request",
            "code": "FST_ERR_BAD_URL",
            "message": format!("'{path}' is not a valid url component"),
            "statusCode": 400,
        });
        return Ok(plain_json(400, &body.to_string()));
    }
    if shared.options.gateway && head.method == Method::OPTIONS && !path.starts_with("/upload/resumable") {
        let mut preflight = reply(200, None, "");
        allow_origin(&mut preflight);
        set(
            &mut preflight,
            "access-control-allow-methods",
            "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS",
        );
        set(&mut preflight, "access-control-allow-headers", "*");
        return Ok(preflight);
    }
    let request = Request {
        raw_path: path.to_owned(),
        query: parse_query(head.uri.query().unwrap_or_default()),
        method: head.method,
        headers: head.headers,
        body,
    };
    let mut answer = route(&shared, request)
        .await
        .unwrap_or_else(|failure| failure.reply(!shared.options.is_old));
    if shared.options.gateway {
        allow_origin(&mut answer);
    }
    Ok(answer)
}

fn allow_origin(reply: &mut Reply) {
    set(reply, "access-control-allow-origin", "*");
}

fn plain_json(status: u16, body: &str) -> Reply {
    reply(status, Some("application/json"), body.to_owned())
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}
