//! The part of the SOAP interface without which REST is not whole: deleting a customer, and the names of the tags.
//!
//! `POST /soap/type/vendor/version/4`, rpc style: the arguments are taken in their order, whatever they are called.
//! Everything is answered with status 200 and a `result_code`:
//!
//! | function | arguments | result |
//! |---|---|---|
//! | `Login` | user name, password | `result_string` is a token of this interface; 10 otherwise |
//! | `Logout` | token | |
//! | `DeleteCustomer` | token, id | 103 cannot delete, 105 no such record |
//! | `GetCustomTagNameList` | token | items with `name` and `value` |
//!
//! Codes: 0 ok, 10 wrong login, 30 token, 108 what was sent.

use std::fmt::Write as _;

use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;

use super::reply::Reply;
use super::route::{Call, Login};
use super::world::World;

pub const PATH: [&str; 5] = ["soap", "type", "vendor", "version", "4"];

const OK: u32 = 0;
const BAD_LOGIN: u32 = 10;
const BAD_TOKEN: u32 = 30;
const CANNOT_DELETE: u32 = 103;
const NO_RECORD: u32 = 105;
const INVALID: u32 = 108;

/// What a function came to.
struct Outcome {
    code: u32,
    text: String,
    /// Name and value of each.
    items: Vec<(String, String)>,
}

impl Outcome {
    fn new(code: u32, text: impl Into<String>) -> Outcome {
        Outcome { code, text: text.into(), items: Vec::new() }
    }
}

/// Answers one call.
pub fn answer(world: &mut World, login: &Login, call: &Call) -> Reply {
    let Some((function, arguments)) = function(&String::from_utf8_lossy(&call.body)) else {
        return reply(500, "<soapenv:Fault><faultcode>Client</faultcode><faultstring>no function was called</faultstring></soapenv:Fault>");
    };
    let outcome = carry_out(world, login, &function, &arguments);
    let mut result = format!("<return><result_code>{}</result_code><result_string>{}</result_string>", outcome.code, escape(&outcome.text));
    for (name, value) in &outcome.items {
        let _ = write!(result, "<item><name>{}</name><value>{}</value></item>", escape(name), escape(value));
    }
    let function = escape(&function);
    reply(200, &format!("<ns1:{function}Response xmlns:ns1=\"urn:lac\">{result}</return></ns1:{function}Response>"))
}

fn carry_out(world: &mut World, login: &Login, function: &str, arguments: &[String]) -> Outcome {
    let argument = |at: usize| arguments.get(at).map(String::as_str).unwrap_or_default();
    if function == "Login" {
        if (argument(0), argument(1)) != (login.username.as_str(), login.password.as_str()) {
            return Outcome::new(BAD_LOGIN, "wrong user name or password");
        }
        return Outcome::new(OK, world.new_soap_token());
    }
    if !world.is_good_soap_token(argument(0)) {
        return Outcome::new(BAD_TOKEN, "the token is invalid or expired");
    }
    match function {
        "Logout" => {
            world.end_soap_token(argument(0));
            Outcome::new(OK, "")
        }
        "DeleteCustomer" => match argument(1).parse() {
            Err(_) => Outcome::new(INVALID, "a customer's id is a whole number"),
            Ok(id) => match world.delete_customer(id) {
                Ok(()) => Outcome::new(OK, ""),
                Err(refusal) if refusal.status == 404 => Outcome::new(NO_RECORD, refusal.message),
                Err(refusal) => Outcome::new(CANNOT_DELETE, refusal.message),
            },
        },
        "GetCustomTagNameList" => {
            let items = world.definitions.iter().map(|(name, display)| (name.clone(), display.clone())).collect();
            Outcome { items, ..Outcome::new(OK, "") }
        }
        _ => Outcome::new(INVALID, format!("{function} is not simulated")),
    }
}

fn reply(status: u16, inside: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <soapenv:Body>{inside}</soapenv:Body></soapenv:Envelope>"
    );
    Reply { status, content_type: "text/xml; charset=utf-8", body }
}

/// The function a message calls and the texts of its arguments.
fn function(xml: &str) -> Option<(String, Vec<String>)> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut open: Vec<String> = Vec::new();
    let mut called: Option<(String, Vec<String>)> = None;
    loop {
        let at = open.iter().position(|name| name == "Body").map(|body| open.len() - body);
        match reader.read_event().ok()? {
            Event::Eof => return called.filter(|_| open.is_empty()),
            Event::Start(start) => {
                let name = start.local_name().as_ref().to_owned();
                enter(at, &name, &mut called);
                open.push(name);
            }
            Event::Empty(start) => enter(at, start.local_name().as_ref(), &mut called),
            Event::End(_) => {
                open.pop();
            }
            Event::Text(text) => say(at, &text.xml10_content(), &mut called),
            Event::CData(text) => say(at, &text.xml10_content(), &mut called),
            Event::GeneralRef(entity) => {
                if let Ok(Some(character)) = entity.resolve_char_ref() {
                    say(at, character.encode_utf8(&mut [0; 4]), &mut called);
                } else {
                    say(at, resolve_predefined_entity(&entity.xml10_content())?, &mut called);
                }
            }
            // No document type: it could only be there to define entities.
            Event::DocType(_) => return None,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
}

/// An element `at` levels below the envelope: the function in the body, an argument in the function.
fn enter(at: Option<usize>, name: &str, called: &mut Option<(String, Vec<String>)>) {
    match (at, called) {
        (Some(1), called @ None) => *called = Some((name.to_owned(), Vec::new())),
        (Some(2), Some((_, arguments))) => arguments.push(String::new()),
        _ => {}
    }
}

fn say(at: Option<usize>, text: &str, called: &mut Option<(String, Vec<String>)>) {
    if let (Some(3), Some((_, arguments))) = (at, called)
        && let Some(last) = arguments.last_mut()
    {
        last.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<(String, Vec<String>)> {
        function(&format!("<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"x\"><s:Header/><s:Body>{body}</s:Body></s:Envelope>"))
    }

    #[test]
    fn arguments_are_read_in_their_order() {
        let call =
            "<v:Login xmlns:v=\"urn:lac\">\n <name type=\"xsd:string\">a&amp;b&#33;</name> <password/><x><![CDATA[<1>]]></x></v:Login>";
        assert_eq!(read(call), Some(("Login".into(), vec!["a&b!".into(), String::new(), "<1>".into()])));
        assert_eq!(read("<Logout/>"), Some(("Logout".into(), Vec::new())));
    }

    #[test]
    fn what_is_no_message_calls_nothing() {
        assert_eq!(read(""), None);
        for text in ["", "Login", "<a><b></a>", "<!DOCTYPE a [<!ENTITY x \"y\">]><Envelope><Body><Logout/></Body></Envelope>"] {
            assert_eq!(function(text), None, "{text}");
        }
        assert_eq!(read("<Logout><token>&unknown;</token></Logout>"), None);
    }
}
