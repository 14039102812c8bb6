//! A simulator of X-Formation's License Activation Center (LAC): its vendor REST interface, as far as that is documented.
//!
//! A plain-data [`World`] behind a thin HTTP face. It knows the vendor's documentation and nothing of any client. What the
//! documentation leaves open is a switch in [`Settings`]; its defaults are the documented behaviour, or the harder case.
//!
//! Simulated: `/auth/tokens`, customers with their contacts and custom tags, license orders, licenses, products and their
//! templates, activation counters; of SOAP what REST lacks. Not simulated: the rest of SOAP and the end users' interface.
//!
//! Control routes (no token needed; beside the kernel's `/__control/faults` and `/__control/clock`):
//!
//! | route | body | does |
//! |---|---|---|
//! | `GET /__control/settings` | | all switches |
//! | `POST /__control/settings` | `{"page_size":5}` | merges; unknown names are refused; answers as GET |
//! | `GET /__control/state` | | `{"counts":{"customer":3},"calls":{"GET /customers/{id}":7},"calls_total":7}` |
//! | `GET /__control/state?object=customer[&id=][&limit=][&offset=]` | | `{"object","count","rows":[…]}` |
//! | `POST /__control/edit` | one edit or an array | done as a person in the vendor's pages would; answers the row, or the rows |
//! | `POST /__control/reset` | `{}` or `{"products":true}` | an empty world with default switches and zero counts, or one with the sample products |
//!
//! | edit | |
//! |---|---|
//! | `{"op":"create","object":"customer","fields":{"name":…,"Contacts":[…],"CustomTags":[…]}}` | |
//! | `{"op":"create","object":"contact","fields":{"customer_id":101,"name":…,"email":…}}` | |
//! | `{"op":"create","object":"license_order","fields":{"customer_id":101}}` | the rest comes from the template, the first unless one is named |
//! | `{"op":"update","object":"customer","id":101,"fields":{"city":"Bern"}}` | also `contact`; `license_order` by its activation key |
//! | `{"op":"delete","object":"customer","id":101}` | also `contact`; `license_order` by its activation key |
//! | `{"op":"set_tag","customer":101,"tag":"SF_Id","value":"…"}` `{"op":"remove_tag","customer":101,"tag":"SF_Id"}` | |
//! | `{"op":"define_tag","tag":"SF_Tier__c","display":"Tier"}` `{"op":"undefine_tag","tag":"SF_Tier__c"}` | Administration > Custom Tags |
//! | `{"op":"activate","order":"…","hostid":"…"}` | an end user activates |
//! | `{"op":"expire_tokens"}` | every login ends |

mod check;
mod control;
mod customer;
mod edit;
mod find;
mod hand;
mod look;
mod order;
mod product;
mod reply;
mod route;
pub mod sample;
mod settings;
mod show;
mod soap;
mod token;
mod world;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};

use crate::sandbox::serve::{Running, Wire};

pub use customer::{Contact, Customer, Tag};
pub use order::{License, Order};
pub use product::seed_products;
pub use reply::Refusal;
pub use settings::Settings;
pub use world::{SF_ID, World};

/// The largest body taken.
const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// How a simulator starts.
#[derive(Clone)]
pub struct Options {
    pub username: String,
    pub password: String,
    /// Where the pages lie, such as `/vendor`: the vendor does not say. Empty or with a leading slash.
    pub base_path: String,
    /// Start with the sample products.
    pub products: bool,
    pub settings: Settings,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("base_path", &self.base_path).field("products", &self.products).finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            username: "lockstep".into(),
            password: "sandbox-password".into(),
            base_path: String::new(),
            products: true,
            settings: Settings::default(),
        }
    }
}

/// A running simulator; it ends when this is dropped.
pub struct Lac {
    /// `http://127.0.0.1:<port>`, with the base path.
    pub url: String,
    pub username: String,
    pub password: String,
    pub world: Arc<Mutex<World>>,
    running: Running,
}

impl std::fmt::Debug for Lac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lac").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Lac {
    /// Listens on loopback; port 0 takes any free one.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start(port: u16, wire: Wire, options: Options) -> io::Result<Lac> {
        let mut world = World::new(wire.clock.clone());
        if options.products {
            seed_products(&mut world).map_err(|refusal| io::Error::other(refusal.to_string()))?;
        }
        world.settings = options.settings;
        let world = Arc::new(Mutex::new(world));
        let face = Face {
            world: world.clone(),
            login: Arc::new(route::Login { username: options.username.clone(), password: options.password.clone() }),
            base_path: options.base_path.as_str().into(),
        };
        let running = Running::start(port, Router::new().fallback(answer).with_state(face), wire).await?;
        let url = format!("{}{}", running.url, options.base_path);
        Ok(Lac { url, username: options.username, password: options.password, world, running })
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
    login: Arc<route::Login>,
    base_path: Arc<str>,
}

async fn answer(State(face): State<Face>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT_BYTES).await else {
        return Refusal::new(413, "the body is too large").reply(&Settings::default()).into();
    };
    let header = |name: HeaderName| {
        let value = parts.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let query = parts.uri.query().unwrap_or_default();
    let mut call = route::Call {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        authorization: header(AUTHORIZATION),
        content_type: header(CONTENT_TYPE),
        body: body.to_vec(),
    };
    let mut world = locked(&face.world);
    if call.path.starts_with("/__control/") {
        return control::answer(&mut world, &call).into();
    }
    match call.path.strip_prefix(&*face.base_path) {
        Some(path) => {
            call.path = path.to_owned();
            route::answer(&mut world, &face.login, &call).into()
        }
        None => Refusal::not_found("page").reply(&world.settings).into(),
    }
}

/// A world whose editor panicked is still the world.
fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
