//! The calls of the Management API: who may, what is counted, and one `match` from method and path to what is done.
//!
//! Both forms of a path, with and without the last slash, are the same call; nothing is redirected.

use serde_json::{Value, json};

use super::check::Writer;
use super::issue::KEY_ALPHABET;
use super::list::{self, Asked};
use super::path::managers;
use super::reply::{Refusal, Reply};
use super::schema::Object;
use super::settings::Rate;
use super::sheet;
use super::show;
use super::world::World;

/// A request, whole.
#[derive(Debug, Clone, Default)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub authorization: Option<String>,
    pub content_type: Option<String>,
    /// Scheme, host and port, for absolute links.
    pub base: String,
    pub address: String,
    pub body: Vec<u8>,
}

const PREFIX: &str = "/api/v1/";
const MULTIPART: &str = "multipart/form-data";

/// Answers one call.
pub fn answer(world: &mut World, api_key: &str, call: &Call) -> Reply {
    world.wake();
    let Some(path) = call.path.strip_prefix(PREFIX) else {
        return Refusal::not_found().into();
    };
    let path: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    world.count_call(&route(&call.method, &path));
    if let Some(rate) = world.settings.rate.clone() {
        let key = call.authorization.as_deref().unwrap_or_default();
        let now = world.now();
        if let Err(wait) = world.limiter.admit(&rate, now, key, &call.address) {
            return limited(&rate, wait);
        }
    }
    if let Err(refusal) = may(world, api_key, call, path.first().copied().unwrap_or_default()) {
        return refusal.into();
    }
    let body = match body(call) {
        Ok(body) => body,
        Err(_) if path == ["orders", "create_order"] => {
            return Refusal::coded("invalid_json", "The body is not valid JSON.").into();
        }
        Err(refusal) => return refusal.into(),
    };
    carry_out(world, call, &path, &body).unwrap_or_else(Reply::from)
}

/// `GET /customers/{id}/`: what calls are counted under.
fn route(method: &str, path: &[&str]) -> String {
    let mut text = format!("{method} /");
    for part in path {
        text.push_str(if part.parse::<i64>().is_ok() { "{id}" } else { part });
        text.push('/');
    }
    text
}

fn limited(rate: &Rate, wait: i64) -> Reply {
    let detail = format!("Request was throttled. Expected available in {wait} seconds.");
    let mut reply = Reply::json(429, &json!({ "detail": detail }));
    if rate.html {
        reply.content_type = "text/html";
        reply.body = "<html><head><title>429 Too Many Requests</title></head><body><center><h1>429 Too Many Requests</h1></center><hr><center>nginx</center></body></html>".into();
    }
    if rate.retry_after {
        reply.headers.push(("retry-after", wait.to_string()));
    }
    reply
}

fn may(world: &World, api_key: &str, call: &Call, resource: &str) -> Result<(), Refusal> {
    let status = world.settings.wrong_key_status;
    let sent = call.authorization.as_deref().and_then(|value| value.strip_prefix("Api-Key "));
    match sent {
        None => {
            return Err(Refusal::Detail(status, "Authentication credentials were not provided.".into()));
        }
        Some(key) if key.trim() != api_key => {
            return Err(Refusal::Detail(status, "Invalid API key.".into()));
        }
        Some(_) => {}
    }
    if world.settings.is_denied(resource, call.method != "GET") {
        let detail = "You do not have permission to perform this action.";
        return Err(Refusal::Detail(403, detail.into()));
    }
    Ok(())
}

fn body(call: &Call) -> Result<Value, Refusal> {
    let kind = call.content_type.as_deref().unwrap_or_default();
    if call.body.is_empty() || kind.starts_with(MULTIPART) {
        return Ok(json!({}));
    }
    if !kind.starts_with("application/json") {
        return Err(Refusal::Detail(415, format!("Unsupported media type \"{kind}\" in request.")));
    }
    serde_json::from_slice(&call.body).map_err(|error| Refusal::Detail(400, format!("JSON parse error - {error}")))
}

/// The objects with plain lists and plain reading by id, by the first part of their path.
fn collection(name: &str) -> Option<Object> {
    Some(match name {
        "customers" => Object::Customer,
        "customers-import-results" => Object::Import,
        "clabels" => Object::Label,
        "customer-accounts" => Object::Account,
        "orders" => Object::Order,
        "licenses" => Object::License,
        "license-product-features" => Object::LicenseFeature,
        "devices" => Object::Device,
        "license-users" => Object::LicenseUser,
        "products" => Object::Product,
        "product-features" => Object::ProductFeature,
        "license-templates" => Object::Policy,
        _ => return None,
    })
}

fn carry_out(world: &mut World, call: &Call, path: &[&str], body: &Value) -> Result<Reply, Refusal> {
    let id = path.get(1).and_then(|part| part.parse::<i64>().ok());
    let settings_status = world.settings.create_status;
    if let (Some(object), Some(id)) = (path.first().and_then(|name| collection(name)), id) {
        reachable(world, object, id)?;
    }
    match (call.method.as_str(), path, id) {
        // customers
        ("POST", ["customers"], _) => make(world, Object::Customer, body, settings_status),
        ("PATCH", ["customers", _], Some(id)) => change(world, Object::Customer, id, body, 200),
        ("DELETE", ["customers", _], Some(id)) => {
            world.remove(Object::Customer, id)?;
            Ok(Reply::ok(&json!({})))
        }
        ("POST", ["customers", _, "merge"], Some(id)) => {
            world.merge_customers(id, body)?;
            Ok(Reply::ok(&show::written(world, Object::Customer, id, false)))
        }
        ("GET", ["customers", "export"], _) => sheet::customers(world),
        ("POST", ["customers", "import_from_csv"], _) => {
            let result = sheet::import_customers(world, call.content_type.as_deref().unwrap_or_default(), &call.body)?;
            Ok(Reply::ok(&show::written(world, Object::Import, result, true)))
        }
        ("POST", ["clabels"], _) => make(world, Object::Label, body, 201),
        ("PATCH", ["clabels", _], Some(id)) => change(world, Object::Label, id, body, 200),
        ("DELETE", ["clabels", _], Some(id)) => gone(world, Object::Label, id),
        ("POST", ["customerclabels"], _) => make(world, Object::CustomerLabel, body, 201),
        ("DELETE", ["customerclabels", _], Some(id)) => gone(world, Object::CustomerLabel, id),

        // customer accounts
        ("POST", ["customer-accounts"], _) => make(world, Object::Account, body, settings_status),
        ("PATCH", ["customer-accounts", _], Some(id)) => change(world, Object::Account, id, body, 200),
        ("DELETE", ["customer-accounts", _], Some(id)) => {
            world.remove(Object::Account, id)?;
            Ok(Reply::ok(&json!({})))
        }
        ("POST", ["customer-accounts", _, "add_manager"], Some(id)) => {
            let (user, new) = world.add_manager("managed_accounts", id, body)?;
            Ok(Reply::ok(&show::manager(world, user, new)))
        }

        // orders
        ("POST", ["orders", "create_order"], _) => create_order(world, body),
        ("GET", ["orders", "generate_license"], _) => generate(world, &call.query),
        ("GET", ["orders", "export"], _) => sheet::orders(world, None, &call.query),
        ("GET", ["orders", _, "export"], Some(id)) => sheet::orders(world, Some(id), &call.query),
        ("PATCH", ["orders", _], Some(id)) => change(world, Object::Order, id, body, 200),
        ("DELETE", ["orders", _], Some(id)) if world.settings.order_delete => gone(world, Object::Order, id),
        ("GET", ["orders", _, "managers"], Some(id)) => {
            world.need(Object::Order, id)?;
            let users: Vec<i64> = managers(world, Some(id)).iter().map(|user| user.id).collect();
            let shown: Vec<Value> = users.iter().map(|user| show::manager(world, *user, false)).collect();
            Ok(Reply::ok(&shown.into()))
        }
        ("POST", ["orders", _, "add_manager"], Some(id)) => {
            let (user, new) = world.add_manager("managed_orders", id, body)?;
            Ok(Reply::ok(&show::manager(world, user, new)))
        }
        ("POST", ["orders", _, "add_managers"], Some(id)) => {
            let mut shown = Vec::new();
            for one in body.as_array().into_iter().flatten() {
                let (user, new) = world.add_manager("managed_orders", id, one)?;
                shown.push(show::manager(world, user, new));
            }
            Ok(Reply::ok(&shown.into()))
        }
        ("POST", ["orders", _, "remove_manager"], Some(id)) => {
            world.remove_manager(id, body)?;
            Ok(Reply::ok(&json!({"detail": "Manager removed."})))
        }

        // licenses
        ("PATCH", ["licenses", "bulk_update"], _) => {
            let ids = world.bulk_update(body)?;
            let shown: Vec<Value> = ids.iter().map(|id| show::written(world, Object::License, *id, false)).collect();
            Ok(Reply::ok(&shown.into()))
        }
        ("POST", ["licenses", "disable_bulk"], _) => {
            for license in world.known_licenses(body, "non_field_errors")? {
                world.set_enabled(license, false)?;
            }
            Ok(Reply::message("Licenses were disabled."))
        }
        ("POST", ["licenses", "reset_bulk"], _) => {
            for license in world.known_licenses(body, "non_field_errors")? {
                world.reset_license(license)?;
            }
            Ok(Reply::message("Licenses were reset."))
        }
        ("POST", ["licenses", "custom_bulk_reset"], _) => {
            world.custom_bulk_reset(body)?;
            Ok(Reply::message("Licenses were reset."))
        }
        ("PATCH", ["licenses", _], Some(id)) => {
            world.patch_license(id, body)?;
            Ok(Reply::ok(&show::written(world, Object::License, id, false)))
        }
        ("DELETE", ["licenses", _], Some(id)) => gone(world, Object::License, id),
        ("POST", ["licenses", _, "enable"], Some(id)) => {
            world.set_enabled(id, true)?;
            Ok(Reply::message("License was enabled."))
        }
        ("POST", ["licenses", _, "disable"], Some(id)) => {
            world.set_enabled(id, false)?;
            Ok(Reply::message("License was disabled."))
        }
        ("POST", ["licenses", _, "reset"], Some(id)) => {
            world.reset_license(id)?;
            Ok(Reply::message("License was reset."))
        }
        ("POST", ["licenses", _, "reset_consumption"], Some(id)) => {
            world.reset_consumption(id)?;
            Ok(Reply::message("Consumption was reset."))
        }
        ("POST", ["licenses", _, "update_features"], Some(id)) => {
            world.update_features(id, body)?;
            Ok(Reply::ok(&show::whole(world, Object::License, id).unwrap_or_default()))
        }

        // features on licenses
        ("POST", ["license-product-features"], _) => {
            let row = world.add_feature_row(body)?;
            Ok(Reply::json(201, &show::written(world, Object::LicenseFeature, row, true)))
        }
        ("PATCH", ["license-product-features", _], Some(id)) => {
            world.patch_feature_row(id, body)?;
            Ok(Reply::ok(&show::written(world, Object::LicenseFeature, id, false)))
        }
        ("DELETE", ["license-product-features", _], Some(id)) => {
            world.remove_feature_row(id)?;
            Ok(Reply::empty())
        }

        // devices and users
        ("POST", ["devices", _, "reset"], Some(id)) => {
            world.reset_device(id)?;
            Ok(Reply::message("Device was reset."))
        }
        ("POST", ["devices", _, "blacklist"], Some(id)) => {
            world.blacklist(id)?;
            Ok(Reply::message("Device was blacklisted."))
        }
        ("PATCH", ["license-users", _], Some(id)) => change(world, Object::LicenseUser, id, body, 200),

        // products, their features, policies
        ("GET", ["products", _, "bundle" | "in_bundle"], Some(id)) => bundle(world, id, path[2] == "bundle"),
        ("POST", ["product-features"], _) => make(world, Object::ProductFeature, body, 201),
        ("PATCH", ["product-features", _], Some(id)) => change(world, Object::ProductFeature, id, body, 201),
        ("DELETE", ["product-features", _], Some(id)) => {
            world.remove(Object::ProductFeature, id)?;
            Ok(Reply::ok(&json!({})))
        }
        ("POST", ["license-templates"], _) => make(world, Object::Policy, body, 201),
        ("PATCH", ["license-templates", _], Some(id)) => change(world, Object::Policy, id, body, 200),

        (method, path, id) => read(world, call, method, path, id),
    }
}

/// Plain lists and rows, and what is left: unknown paths and wrong methods.
fn read(world: &mut World, call: &Call, method: &str, path: &[&str], id: Option<i64>) -> Result<Reply, Refusal> {
    let object = path.first().and_then(|name| collection(name)).ok_or_else(Refusal::not_found)?;
    match (method, path, id) {
        ("GET", [resource], _) => {
            let asked = Asked { resource, base: &call.base, path: &call.path, query: &call.query };
            list::page(world, object, asked).map(|page| Reply::ok(&page))
        }
        ("GET", [_, _], Some(id)) => {
            let shown = show::whole(world, object, id).ok_or_else(Refusal::not_found)?;
            Ok(Reply::ok(&shown))
        }
        (_, [_] | [_, _], _) if method != "GET" => Err(Refusal::Detail(405, format!("Method \"{method}\" not allowed."))),
        _ => Err(Refusal::not_found()),
    }
}

/// A row the key may not see answers its own status; one that is too new is not there yet.
fn reachable(world: &World, object: Object, id: i64) -> Result<(), Refusal> {
    let row = world.need(object, id)?;
    if list::visible(world, row) {
        return Ok(());
    }
    if world.settings.no_access.contains(&id) && world.settings.no_access_status != 404 {
        let detail = "You do not have permission to perform this action.";
        return Err(Refusal::Detail(world.settings.no_access_status, detail.into()));
    }
    Err(Refusal::not_found())
}

fn make(world: &mut World, object: Object, body: &Value, status: u16) -> Result<Reply, Refusal> {
    let id = world.create(object, body, Writer::Create)?;
    Ok(Reply::json(status, &show::written(world, object, id, true)))
}

fn change(world: &mut World, object: Object, id: i64, body: &Value, status: u16) -> Result<Reply, Refusal> {
    world.patch(object, id, body, Writer::Patch)?;
    Ok(Reply::json(status, &show::written(world, object, id, false)))
}

fn gone(world: &mut World, object: Object, id: i64) -> Result<Reply, Refusal> {
    world.remove(object, id)?;
    Ok(Reply::empty())
}

fn create_order(world: &mut World, body: &Value) -> Result<Reply, Refusal> {
    let issued = world.create_order(body)?;
    let status = world.settings.create_status;
    if world.settings.old_create_order_shape {
        let passwords: Vec<Value> =
            issued.new_passwords.iter().map(|(email, password)| json!({"email": email, "new_password": password})).collect();
        return Ok(Reply::json(status, &json!({"order_id": issued.order, "new_passwords": passwords})));
    }
    Ok(Reply::json(status, &show::written(world, Object::Order, issued.order, true)))
}

/// Keys that no license has; not reserved.
fn generate(world: &mut World, query: &[(String, String)]) -> Result<Reply, Refusal> {
    let product = list::value_of(query, "product").unwrap_or_default();
    world.product_by_code(product)?;
    let number = |name: &str, otherwise: usize, range: std::ops::RangeInclusive<usize>| match list::value_of(query, name) {
        None => Ok(otherwise),
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| Refusal::field(name, format!("A whole number from {} to {} is expected.", range.start(), range.end()))),
    };
    let quantity = number("quantity", 1, 1..=10_000)?;
    let length = number("key_length", 16, 16..=240)?;
    let alphabet: Vec<char> =
        list::value_of(query, "alphabet").filter(|written| !written.is_empty()).unwrap_or(KEY_ALPHABET).chars().collect();
    let keys: Vec<String> = (0..quantity).map(|_| world.new_key(length, &alphabet)).collect();
    Ok(Reply::ok(&json!(keys)))
}

fn bundle(world: &World, id: i64, members: bool) -> Result<Reply, Refusal> {
    let product = world.need(Object::Product, id)?;
    let ids: Vec<i64> = if members {
        super::path::listed(product.get("bundle_products")).collect()
    } else {
        let products = world.table(Object::Product);
        let holds = |other: &&i64| {
            let row = products.get(**other);
            row.is_some_and(|row| super::path::listed(row.get("bundle_products")).any(|member| member == id))
        };
        products.ids().iter().filter(holds).copied().collect()
    };
    let shown: Vec<Value> = ids.iter().filter_map(|id| show::whole(world, Object::Product, *id)).collect();
    Ok(Reply::ok(&json!(shown)))
}
