//! The calls of the vendor interface: who may, what is counted, and one `match` from method and path to what is done.

use serde_json::{Value, json};

use super::check;
use super::find::{self, Query};
use super::reply::{Refusal, Reply};
use super::show;
use super::soap;
use super::token;
use super::world::World;

/// A request, whole.
#[derive(Debug, Clone, Default)]
pub struct Call {
    pub method: String,
    /// Without the base path.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub authorization: Option<String>,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

/// Who may log in.
#[derive(Clone)]
pub struct Login {
    pub username: String,
    pub password: String,
}

/// Answers one call.
pub fn answer(world: &mut World, login: &Login, call: &Call) -> Reply {
    world.wake();
    let path: Vec<&str> = call.path.split('/').filter(|part| !part.is_empty()).collect();
    world.count_call(route(&call.method, &path));
    let done = match path.as_slice() {
        ["auth", "tokens"] => log_in(world, login, call),
        path if path == soap::PATH && world.settings.soap && call.method == "POST" => return soap::answer(world, login, call),
        path => admitted(world, call, path),
    };
    done.unwrap_or_else(|refusal| refusal.reply(&world.settings))
}

/// `GET /customers/{id}`: what calls are counted under.
fn route(method: &str, path: &[&str]) -> String {
    let mut text = format!("{method} ");
    for (at, part) in path.iter().enumerate() {
        text.push('/');
        text.push_str(match at.checked_sub(1).map(|before| path[before]) {
            Some("license-orders") => "{activation_key}",
            Some("version") => part,
            _ if part.parse::<i64>().is_ok() => "{id}",
            _ => part,
        });
    }
    text
}

fn log_in(world: &mut World, login: &Login, call: &Call) -> Result<Reply, Refusal> {
    if call.method != "POST" {
        return Err(not_here(call));
    }
    token::check(check::object("login", &body(call)?)?, &login.username, &login.password)?;
    Ok(Reply::ok(&json!({"token": world.new_token()})))
}

fn admitted(world: &mut World, call: &Call, path: &[&str]) -> Result<Reply, Refusal> {
    let refused = |message: &str| Err(Refusal::new(world.settings.token_status, message));
    match call.authorization.as_deref().and_then(|sent| sent.strip_prefix("Bearer ")) {
        None => return refused("a token is needed"),
        Some(token) if !world.is_good_token(token.trim()) => return refused("the token is invalid or expired"),
        Some(_) => {}
    }
    if world.settings.is_denied(path.first().copied().unwrap_or_default(), call.method != "GET") {
        return Err(Refusal::new(403, "the user lacks the role for this"));
    }
    carry_out(world, call, path)
}

fn carry_out(world: &mut World, call: &Call, path: &[&str]) -> Result<Reply, Refusal> {
    let (method, query) = (call.method.as_str(), call.query.as_slice());
    let created = world.settings.create_status;
    match (method, path) {
        ("GET", ["customers"]) => find::customers(world, query).map(|found| Reply::ok(&found)),
        ("POST", ["customers"]) => {
            let id = world.create_customer(&body(call)?)?;
            Ok(Reply::json(created, &customer(world, id)?))
        }
        ("GET", ["customers", id]) => Ok(Reply::ok(&customer(world, number(id, "customer")?)?)),
        ("PATCH", ["customers", id]) => {
            let id = number(id, "customer")?;
            world.customer(id)?;
            world.patch_customer(id, &body(call)?)?;
            Ok(Reply::ok(&customer(world, id)?))
        }
        ("DELETE", ["customers", _]) if !world.settings.customer_delete => {
            Err(Refusal::new(world.settings.delete_off_status, "method not allowed"))
        }
        ("DELETE", ["customers", id]) => {
            world.delete_customer(number(id, "customer")?)?;
            Ok(Reply::empty(world.settings.delete_status))
        }
        ("GET", ["license-orders"]) => find::orders(world, query).map(|found| Reply::ok(&found)),
        ("POST", ["license-orders"]) => {
            let key = world.create_order(&body(call)?)?;
            Ok(Reply::json(created, &show::listed_order(world, world.order(&key)?, &world.settings)))
        }
        ("GET", ["license-orders", key]) => {
            let order = world.order(key)?;
            if !order.flag("enabled") {
                return Err(Refusal::new(403, "the license order is disabled"));
            }
            Ok(Reply::ok(&show::one_order(world, order)))
        }
        ("PATCH", ["license-orders", key]) => {
            world.order(key)?;
            world.patch_order(key, &body(call)?)?;
            Ok(Reply::ok(&show::listed_order(world, world.order(key)?, &world.settings)))
        }
        ("GET", ["license-orders", key, "licenses"]) => {
            world.order(key)?;
            find::licenses(world, query, Some(key)).map(|found| Reply::ok(&found))
        }
        ("GET", ["licenses"]) => find::licenses(world, query, None).map(|found| Reply::ok(&found)),
        ("GET", ["products"]) if world.settings.product_list => {
            Query { pairs: query, settings: &world.settings }.only(&["offset"])?;
            Ok(Reply::ok(&world.products.values().map(|product| show::product(product, &world.settings)).collect()))
        }
        ("GET", ["products", id]) => Ok(Reply::ok(&show::product(world.product(number(id, "product")?)?, &world.settings))),
        ("GET", ["products", id, "product-templates"]) => {
            let product = world.product(number(id, "product")?)?;
            Ok(Reply::ok(&product.templates.iter().map(|template| show::template(template, &world.settings)).collect()))
        }
        ("POST", ["products", id, "product-templates"]) => {
            let template = world.create_template(number(id, "product")?, &body(call)?)?;
            template_reply(world, template)
        }
        ("GET", ["products", id, "product-templates", template]) => {
            let product = world.product(number(id, "product")?)?.id;
            let template = number(template, "product template")?;
            match world.template(template) {
                Some(found) if found.product == product => template_reply(world, template),
                _ => Err(Refusal::not_found("product template")),
            }
        }
        ("GET", ["activation-counters"]) => {
            let used: usize = world.orders.values().map(|order| order.licenses.len()).sum();
            Ok(Reply::ok(&json!({"subscription": {"limit": 1000, "used": used}, "one_time": {"limit": 0, "used": 0}})))
        }
        _ => Err(not_here(call)),
    }
}

/// 405 where the path is known by another method.
fn not_here(call: &Call) -> Refusal {
    let path: Vec<&str> = call.path.split('/').filter(|part| !part.is_empty()).collect();
    let known = matches!(
        path.as_slice(),
        ["auth", "tokens"]
            | ["customers" | "license-orders" | "licenses" | "activation-counters"]
            | ["customers" | "license-orders" | "products", _]
            | ["license-orders", _, "licenses"]
            | ["products", _, "product-templates"]
            | ["products", _, "product-templates", _]
    );
    if known { Refusal::new(405, "method not allowed") } else { Refusal::not_found("page") }
}

fn customer(world: &World, id: i64) -> Result<Value, Refusal> {
    Ok(show::customer(world.customer(id)?, &world.settings))
}

fn template_reply(world: &World, id: i64) -> Result<Reply, Refusal> {
    let template = world.template(id).ok_or_else(|| Refusal::not_found("product template"))?;
    Ok(Reply::ok(&show::template(template, &world.settings)))
}

/// An id in a path; what is no number is nobody's.
fn number(text: &str, what: &str) -> Result<i64, Refusal> {
    text.parse().map_err(|_| Refusal::not_found(what))
}

fn body(call: &Call) -> Result<Value, Refusal> {
    let kind = call.content_type.as_deref().unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(Refusal::invalid("the content type is application/json"));
    }
    serde_json::from_slice(&call.body).map_err(|error| Refusal::invalid(format!("the body is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_under_their_page() {
        for (path, counted) in [
            ("/customers/7", "GET /customers/{id}"),
            ("/license-orders/AAAAA-BBBBB-CCCCC-DDDDD/licenses", "GET /license-orders/{activation_key}/licenses"),
            ("/products/1/product-templates/2", "GET /products/{id}/product-templates/{id}"),
            ("/customers", "GET /customers"),
        ] {
            let path: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
            assert_eq!(route("GET", &path), counted);
        }
    }
}
