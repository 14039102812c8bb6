//! A simulator of the LicenseSpring Management API (`/api/v1/`), as far as its public documentation goes.
//!
//! A plain-data [`World`] behind a thin HTTP face. It knows the vendor's documentation and nothing of any client. What the
//! documentation leaves open is a switch in [`Settings`]; its defaults are the documented behaviour.
//!
//! Control routes (no key needed; beside the kernel's `/__control/faults` and `/__control/clock`):
//!
//! | route | body | does |
//! |---|---|---|
//! | `GET /__control/settings` | | all switches |
//! | `POST /__control/settings` | `{"cap":50,"rate":{"plan":"free"}}` | merges; unknown names are refused; answers as GET |
//! | `GET /__control/state` | | `{"counts":{"license":3},"calls":{"GET /orders/{id}/":7},"calls_total":7}` |
//! | `GET /__control/state?object=license[&id=][&limit=][&offset=]` | | `{"object","count","rows":[…]}`: every stored field; a license also `feature_codes`, `customer`, `status` |
//! | `POST /__control/edit` | one edit or an array | done as a person in the vendor's pages would; answers the row, or the rows |
//! | `POST /__control/reset` | `{}` or `{"products":true}` | an empty world with default switches and zero counts, or one with the sample products |
//!
//! | edit | |
//! |---|---|
//! | `{"op":"create","object":"customer","fields":{…}}` | a row of any object; `id` may be given; a license needs `order` and `product` |
//! | `{"op":"update","object":"license","id":1,"fields":{"enabled":false}}` | any field, computed ones excepted |
//! | `{"op":"delete","object":"order","id":1}` | for good, with what belongs to it |
//! | `{"op":"add_feature","license":1,"code":"sso","fields":{"expiry_date":"2027-01-01"}}` | adds, or changes the row that is there |
//! | `{"op":"remove_feature","license":1,"code":"sso"}` | |
//! | `{"op":"activate","license":1,"hardware_id":"hw-1","hostname":"cad-07"}` | a device activates: counters move, validity begins |
//! | `{"op":"consume","license":1,"code":"render_min","amount":5}` | without `code` on the license itself |
//! | `{"op":"issue","order":{…}}` | as `create_order`; a missing `id` is invented |
//! | `{"op":"merge","id":1,"other":2}` | customers |
//!
//! Objects: `customer_account customer label customer_label order order_item license license_feature product
//! product_feature policy device license_user import_result`.
//!
//! Not simulated, answered 404: custom fields, device variables and borrowing, assigning license users, installation files,
//! license imports, `check_license`, histories, consumption pools, webhooks. Bundle orders are refused.

mod actions;
mod check;
mod control;
mod devices;
mod features;
mod filter;
mod filter_table;
mod hand;
mod issue;
mod issue_license;
mod limiter;
mod list;
mod managers;
mod path;
mod removal;
mod reply;
mod route;
mod sample;
mod schema;
mod settings;
mod sheet;
mod show;
mod table;
mod world;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName};

use crate::sandbox::serve::{Running, Wire};

pub use issue::Issued;
pub use reply::Refusal;
pub use sample::seed_products;
pub use schema::Object;
pub use settings::{Plan, Rate, Settings};
pub use world::World;

/// The largest body taken.
const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// How a simulator starts.
#[derive(Clone)]
pub struct Options {
    pub api_key: String,
    /// Start with the sample products.
    pub products: bool,
    pub settings: Settings,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("products", &self.products).finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Options { api_key: "sandbox0.0123456789abcdefghijklmnopqrstuv".into(), products: true, settings: Settings::default() }
    }
}

/// A running simulator; it ends when this is dropped.
pub struct LicenseSpring {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    pub api_key: String,
    pub world: Arc<Mutex<World>>,
    running: Running,
}

impl std::fmt::Debug for LicenseSpring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LicenseSpring").field("url", &self.url).finish_non_exhaustive()
    }
}

impl LicenseSpring {
    /// Listens on loopback; port 0 takes any free one.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start(port: u16, wire: Wire, options: Options) -> io::Result<LicenseSpring> {
        let mut world = World::new(wire.clock.clone());
        if options.products {
            seed_products(&mut world).map_err(|refusal| io::Error::other(refusal.to_string()))?;
        }
        world.settings = options.settings;
        let world = Arc::new(Mutex::new(world));
        let running = Running::start(port, router(world.clone(), options.api_key.clone()), wire).await?;
        Ok(LicenseSpring { url: running.url.clone(), api_key: options.api_key, world, running })
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
    api_key: Arc<str>,
}

/// The whole HTTP face, for callers that serve it themselves.
pub fn router(world: Arc<Mutex<World>>, api_key: String) -> Router {
    let api_key = api_key.into();
    Router::new().fallback(face).with_state(Face { world, api_key })
}

async fn face(State(face): State<Face>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT_BYTES).await else {
        return reply::Reply::json(413, &serde_json::json!({"detail": "Request body is too large."})).into();
    };
    let header = |name: HeaderName| {
        let value = parts.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let query = parts.uri.query().unwrap_or_default();
    let call = route::Call {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        authorization: header(AUTHORIZATION),
        content_type: header(CONTENT_TYPE),
        base: format!("http://{}", header(HOST).unwrap_or_else(|| "127.0.0.1".into())),
        address: header(HeaderName::from_static("x-forwarded-for")).unwrap_or_else(|| "127.0.0.1".into()),
        body: body.to_vec(),
    };
    let mut world = locked(&face.world);
    if call.path.starts_with("/__control/") {
        control::answer(&mut world, &call).into()
    } else {
        route::answer(&mut world, &face.api_key, &call).into()
    }
}

/// A world whose editor panicked is still the world.
fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
