//! A proxy between the real binary and a simulator. It numbers every request, and at one of them it kills the process that
//! asks, breaks the connection, waits, sends twice, or does what a test wants done at that moment.
//!
//! HTTP/1.1 on loopback. Addresses of the simulator in its answers are turned into the proxy's own, so that no link
//! leads around it.

use crate::binary;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What happens to a request.
#[derive(Clone)]
pub enum Act {
    /// The process dies and the request never arrives.
    KillBefore,
    /// The request is carried out, and the process dies before the answer.
    KillAfter,
    /// The process dies with half of the answer.
    KillHalfway,
    /// The connection ends, nothing arrives.
    ResetBefore,
    /// The connection ends, the request was carried out.
    ResetAfter,
    /// Half of the answer, then the connection ends.
    HalfAnswer,
    Delay(Duration),
    Twice,
    /// Carried out, then this, then the answer.
    Then(Arc<dyn Fn() + Send + Sync>),
}

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::KillBefore => "kill before it is sent on",
            Self::KillAfter => "kill before the answer",
            Self::KillHalfway => "kill in the middle of the answer",
            Self::ResetBefore => "reset before",
            Self::ResetAfter => "reset after",
            Self::HalfAnswer => "half an answer",
            Self::Delay(_) => "delay",
            Self::Twice => "twice",
            Self::Then(_) => "then",
        })
    }
}

/// The numbers of both sides: one count, in the order the requests come.
#[derive(Clone, Default)]
pub struct Desk {
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    seen: u64,
    acts: BTreeMap<u64, Act>,
    /// The first request whose line contains this.
    on: Vec<(String, Act)>,
    victim: Option<u32>,
    lines: Vec<String>,
}

impl Desk {
    /// Starts counting anew, with nothing planned.
    pub fn clear(&self) {
        *self.book() = Book::default();
    }

    pub fn at(&self, number: u64, act: Act) {
        self.book().acts.insert(number, act);
    }

    pub fn on(&self, line: &str, act: Act) {
        self.book().on.push((line.to_owned(), act));
    }

    pub fn victim(&self, pid: u32) {
        self.book().victim = Some(pid);
    }

    pub fn seen(&self) -> u64 {
        self.book().seen
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    fn next(&self, line: String) -> Option<Act> {
        let mut book = self.book();
        book.seen += 1;
        let number = book.seen;
        let named = book.on.iter().position(|(part, _)| line.contains(part.as_str()));
        book.lines.push(line);
        named.map(|at| book.on.remove(at).1).or_else(|| book.acts.remove(&number))
    }

    fn kill(&self) {
        let victim = self.book().victim;
        binary::signal(victim.expect("the proxy knows whom to kill"), "KILL");
    }
}

pub struct Proxy {
    pub url: String,
    _guard: DropGuard,
}

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

struct Face {
    desk: Desk,
    client: reqwest::Client,
    upstream: String,
    url: String,
}

impl Proxy {
    pub async fn start(upstream: &str, desk: Desk) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let face = Arc::new(Face { desk, client, upstream: upstream.to_owned(), url: url.clone() });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    () = stopped.cancelled() => return,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                let _ = stream.set_nodelay(true);
                let face = Arc::clone(&face);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&face), request));
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, _guard: stop.drop_guard() }
    }
}

/// An error makes hyper drop the connection, which is what is wanted.
fn broken() -> io::Error {
    io::Error::other("ended on purpose")
}

async fn answer(face: Arc<Face>, request: Request<Incoming>) -> Result<Answer, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
    let act = face.desk.next(format!("{} {path}", head.method));
    match &act {
        Some(Act::KillBefore) => {
            face.desk.kill();
            return Err(broken());
        }
        Some(Act::ResetBefore) => return Err(broken()),
        Some(Act::Delay(time)) => tokio::time::sleep(*time).await,
        _ => {}
    }
    let send = || {
        let mut on = face.client.request(head.method.clone(), format!("{}{path}", face.upstream)).body(body.clone());
        for (name, value) in head.headers.iter().filter(|(name, _)| ![HOST, ACCEPT_ENCODING, CONTENT_LENGTH].contains(name)) {
            on = on.header(name, value);
        }
        on.send()
    };
    if matches!(act, Some(Act::Twice)) {
        let _ = send().await;
    }
    let reply = send().await.map_err(io::Error::other)?;
    let (status, headers) = (reply.status(), reply.headers().clone());
    let whole = reply.bytes().await.map_err(io::Error::other)?;
    let whole = match std::str::from_utf8(&whole) {
        Ok(text) if text.contains(&face.upstream) => Bytes::from(text.replace(&face.upstream, &face.url)),
        _ => whole,
    };
    match &act {
        Some(Act::KillAfter) => {
            face.desk.kill();
            return Err(broken());
        }
        Some(Act::ResetAfter) => return Err(broken()),
        Some(Act::Then(what)) => {
            let what = Arc::clone(what);
            tokio::task::spawn_blocking(move || what()).await.unwrap();
        }
        _ => {}
    }
    let halfway = matches!(act, Some(Act::KillHalfway | Act::HalfAnswer));
    let kill = matches!(act, Some(Act::KillHalfway));
    let mut answer = Response::builder().status(status).header(CONTENT_LENGTH, whole.len());
    for (name, value) in headers.iter().filter(|(name, _)| ![CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)) {
        let value = value.to_str().map_or_else(|_| value.clone(), |text| text.replace(&face.upstream, &face.url).parse().unwrap());
        answer = answer.header(name, value);
    }
    let first = if halfway { whole.slice(..whole.len() / 2) } else { whole };
    let desk = face.desk.clone();
    let parts = stream::unfold(0, move |part| {
        let (first, desk) = (first.clone(), desk.clone());
        async move {
            match part {
                0 => Some((Ok(Frame::data(first)), 1)),
                1 if halfway => {
                    // The first half is on its way before the end comes.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if kill {
                        desk.kill();
                    }
                    Some((Err(broken()), 2))
                }
                _ => None,
            }
        }
    });
    Ok(answer.body(StreamBody::new(parts).boxed_unsync()).unwrap())
}
