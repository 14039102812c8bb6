//! A simulator of the ForceManager API, version 4 (now Sage Sales Management), as far as its public documentation goes.
//!
//! A plain-data [`World`] behind a thin HTTP face. It knows the vendor's documentation and nothing of any client. What the
//! documentation leaves open is a switch in [`Settings`]; its defaults are the documented behaviour, or else the harder one.
//!
//! Control routes (no log-in needed; beside the kernel's `/__control/faults` and `/__control/clock`):
//!
//! | route | body | does |
//! |---|---|---|
//! | `GET /__control/settings` | | all switches |
//! | `POST /__control/settings` | `{"page_max":50,"rate":{"per_second":4}}` | merges; unknown names are refused; answers as GET |
//! | `GET /__control/state[?log=1]` | | `{"counts":{"account":3},"deleted":{},"extra_fields":6,"calls":{"GET /accounts/{id}":7},"calls_total":7,"integration_user":53,"person":56}`, with `log` each call too |
//! | `GET /__control/state?object=account[&id=][&limit=][&offset=]` | | `{"object","count","rows":[…]}`: every stored field, deleted rows too |
//! | `POST /__control/edit` | one edit or an array | done as a person in the app would; answers the row, or the rows |
//! | `POST /__control/reset` | `{}` or `{"sample":true}` | a company without customers and with default switches, or one with the sample |
//!
//! | edit (each may have `"by": id of a user`) | |
//! |---|---|
//! | `{"op":"create","object":"account","fields":{…}}` | required fields with a usual value are filled in |
//! | `{"op":"update","object":"account","id":1,"fields":{…}}` | any stored field, `readOnly` too |
//! | `{"op":"delete","object":"account","id":1}` | the row stays, marked |
//! | `{"op":"purge","object":"account","id":1}` | gone for good, without a mark |
//! | `{"op":"add_field","object":"account","fields":{"fieldName":"Tier","type":"list","values":["Gold"]}}` | an extra field made in the app; `type` is a word or the number |
//! | `{"op":"remove_field","object":"account","fields":{"fieldName":"Tier"}}` | |
//! | `{"op":"expire_tokens"}` | every session ends |
//!
//! Objects: `account contact opportunity activity calendar user salesorder salesorder_line product account_type
//! account_status account_segment contact_type opportunity_type opportunity_status activity_type salesorder_status branch
//! country currency timezone`.
//!
//! Not simulated, answered 400 with code 910: webhooks, rates, sales, files, `/list/…`, changing or deleting extra fields.
//! Users and value lists cannot be written with the key pair.

mod check;
mod control;
mod dates;
mod describe;
mod extra;
mod filter;
mod furniture;
mod hand;
mod limiter;
mod list;
mod login;
mod reply;
mod route;
mod sample;
mod schema;
mod settings;
mod show;
mod sql;
mod table;
mod world;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;

use crate::sandbox::serve::{Running, Wire};

pub use extra::Kind as ExtraFieldKind;
pub use login::KeyPair;
pub use reply::Refusal;
pub use sample::fill as fill_sample;
pub use schema::Object;
pub use settings::{Rate, Settings};
pub use world::{Logged, World};

/// The largest body taken.
const BODY_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// How a simulator starts.
#[derive(Clone)]
pub struct Options {
    pub keys: KeyPair,
    /// Start with records that a first load will replace.
    pub sample: bool,
    pub settings: Settings,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("keys", &self.keys).field("sample", &self.sample).finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        let keys = KeyPair { public: "sandbox0publickey0123456789".into(), private: "sandbox0privatekey0123456789abcdefghij".into() };
        Options { keys, sample: true, settings: Settings::default() }
    }
}

/// A running simulator; it ends when this is dropped.
pub struct ForceManager {
    /// `http://127.0.0.1:<port>`; the calls are below [`ForceManager::api_url`].
    pub url: String,
    pub public_key: String,
    pub private_key: String,
    pub world: Arc<Mutex<World>>,
    running: Running,
}

impl std::fmt::Debug for ForceManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForceManager").field("url", &self.url).finish_non_exhaustive()
    }
}

impl ForceManager {
    /// Listens on loopback; port 0 takes any free one.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start(port: u16, wire: Wire, options: Options) -> io::Result<ForceManager> {
        let mut world = World::new(wire.clock.clone());
        if options.sample {
            fill_sample(&mut world).map_err(|refusal| io::Error::other(refusal.to_string()))?;
        }
        world.settings = options.settings;
        let world = Arc::new(Mutex::new(world));
        let running = Running::start(port, router(world.clone(), options.keys.clone()), wire).await?;
        let KeyPair { public, private } = options.keys;
        Ok(ForceManager { url: running.url.clone(), public_key: public, private_key: private, world, running })
    }

    /// What the vendor calls the base URL: `http://127.0.0.1:<port>/api/v4`
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/api/v4", self.url)
    }

    /// The world, to look at or to edit. Calls wait meanwhile.
    pub fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.world)
    }

    /// Ends it and waits until it has ended.
    ///
    /// # Errors
    /// When the listener had failed.
    pub async fn stop(self) -> io::Result<()> {
        self.running.stop().await
    }
}

#[derive(Clone)]
struct Face {
    world: Arc<Mutex<World>>,
    keys: Arc<KeyPair>,
}

/// The whole HTTP face, for callers that serve it themselves.
pub fn router(world: Arc<Mutex<World>>, keys: KeyPair) -> Router {
    Router::new().fallback(face).with_state(Face { world, keys: Arc::new(keys) })
}

async fn face(State(face): State<Face>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT_BYTES).await else {
        return reply::Reply::from(Refusal::bad("the body is too large")).into();
    };
    let query = parts.uri.query().unwrap_or_default();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let call = route::Call {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body: body.to_vec(),
    };
    let mut world = locked(&face.world);
    if call.path.starts_with("/__control/") {
        control::answer(&mut world, &call).into()
    } else {
        route::answer(&mut world, &face.keys, &call).into()
    }
}

/// A world whose editor panicked is still the world.
fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
