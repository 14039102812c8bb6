//! The simulator over the wire, as any client sees it.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Options, Salesforce};
use crate::sandbox::serve::Wire;

struct Org {
    sf: Salesforce,
    token: String,
    http: reqwest::Client,
}

async fn org() -> Org {
    let sf = Salesforce::start(0, Wire::default(), Options::default()).await.unwrap();
    let token = sf.world().mint_token();
    Org { sf, token, http: reqwest::Client::new() }
}

impl Org {
    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/services/data/v66.0/{path}") };
        self.http.request(method, format!("{}{path}", self.sf.url)).bearer_auth(&self.token)
    }
    async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let mut request = self.call(method.parse().unwrap(), path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let reply = request.send().await.unwrap();
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap();
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }
    async fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, Value::Null).await
    }
    async fn query(&self, soql: &str) -> Value {
        let reply = self.call(Method::GET, "query").query(&[("q", soql)]).send().await.unwrap();
        reply.json().await.unwrap()
    }
    async fn accounts(&self, count: usize) -> Vec<String> {
        let mut world = self.sf.world();
        (0..count).map(|n| world.insert("Account", &json!({"Name": format!("A{n:04}")})).unwrap()).collect()
    }
    async fn settings(&self, settings: Value) {
        let (status, body) = self.send("POST", "/__control/settings", settings).await;
        assert_eq!(status, 200, "{body}");
    }
    async fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let reply = self.http.post(format!("{}/services/oauth2/token", self.sf.url)).form(form).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
}

fn code(body: &Value) -> &str {
    body[0]["errorCode"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn client_credentials_in_the_body_or_in_the_header() {
    let org = org().await;
    let options = Options::default();
    let pair = [("client_id", options.client_id.as_str()), ("client_secret", options.client_secret.as_str())];
    let (status, reply) = org.token(&[("grant_type", "client_credentials"), pair[0], pair[1]]).await;
    assert_eq!(status, 200);
    assert_eq!((&reply["instance_url"], &reply["token_type"]), (&json!(org.sf.url), &json!("Bearer")));
    assert!(reply["issued_at"].is_string() && reply.get("expires_in").is_none() && reply.get("refresh_token").is_none());
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, options.client_secret.as_bytes());
    let signed = format!("{}{}", reply["id"].as_str().unwrap(), reply["issued_at"].as_str().unwrap());
    let signature = base64::engine::general_purpose::STANDARD.decode(reply["signature"].as_str().unwrap()).unwrap();
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &signature).unwrap();

    let basic =
        org.http.post(format!("{}/services/oauth2/token/", org.sf.url)).basic_auth(&options.client_id, Some(&options.client_secret));
    assert_eq!(basic.form(&[("grant_type", "client_credentials")]).send().await.unwrap().status(), 200);
    for (form, error) in [
        (vec![("grant_type", "client_credentials"), pair[0], ("client_secret", "wrong")], "invalid_client"),
        (vec![("grant_type", "client_credentials"), ("client_id", "wrong"), pair[1]], "invalid_client_id"),
        (vec![("grant_type", "password"), pair[0], pair[1], ("username", "x"), ("password", "y")], "invalid_grant"),
        (vec![("grant_type", "guess")], "unsupported_grant_type"),
        (vec![("grant_type", "refresh_token"), pair[0], ("refresh_token", "x")], "invalid_grant"),
    ] {
        let (status, reply) = org.token(&form).await;
        assert_eq!((status, reply["error"].as_str().unwrap()), (400, error));
        assert!(reply["error_description"].is_string());
    }
    org.settings(json!({"login_host": true})).await;
    let (_, reply) = org.token(&[("grant_type", "client_credentials"), pair[0], pair[1]]).await;
    assert_eq!(reply["error"], "invalid_grant");
}

#[tokio::test]
async fn sessions_slide_end_and_are_revoked() {
    let org = org().await;
    assert_eq!(org.get("limits").await.0, 200);
    let old_style =
        org.http.get(format!("{}/services/data/v66.0/limits", org.sf.url)).header("Authorization", format!("OAuth {}", org.token));
    assert_eq!(old_style.send().await.unwrap().status(), 200);
    for _ in 0..3 {
        org.sf.wire.clock.advance(chrono::Duration::minutes(100));
        assert_eq!(org.get("limits").await.0, 200);
    }
    org.sf.wire.clock.advance(chrono::Duration::minutes(121));
    let (status, body) = org.get("limits").await;
    assert_eq!((status, &body), (401, &json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])));
    let token = org.sf.world().mint_token();
    let revoke = org.http.post(format!("{}/services/oauth2/revoke", org.sf.url)).form(&[("token", token.as_str())]);
    let revoked = revoke.send().await.unwrap();
    assert_eq!((revoked.status().as_u16(), revoked.text().await.unwrap()), (200, String::new()));
    let again = org.http.post(format!("{}/services/oauth2/revoke", org.sf.url)).form(&[("token", token.as_str())]).send().await.unwrap();
    assert_eq!((again.status().as_u16(), again.json::<Value>().await.unwrap()["error"].clone()), (400, json!("invalid_token")));
}

#[tokio::test]
async fn a_rotated_refresh_token_kills_its_family_when_reused() {
    let org = org().await;
    org.settings(json!({"rotate_refresh": true})).await;
    let options = Options::default();
    let refresh = |token: String| {
        let org = &org;
        let id = options.client_id.clone();
        async move { org.token(&[("grant_type", "refresh_token"), ("client_id", &id), ("refresh_token", &token)]).await }
    };
    let (status, first) = refresh(options.refresh_token.clone()).await;
    assert_eq!(status, 200);
    let next = first["refresh_token"].as_str().unwrap().to_owned();
    let (_, second) = refresh(next.clone()).await;
    let newest = second["refresh_token"].as_str().unwrap().to_owned();
    let (status, reused) = refresh(next).await;
    assert_eq!((status, &reused["error_description"]), (400, &json!("expired access/refresh token")));
    assert_eq!(refresh(newest).await.0, 400);
    let dead = org.http.get(format!("{}/services/data/v66.0/limits", org.sf.url)).bearer_auth(second["access_token"].as_str().unwrap());
    assert_eq!(dead.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn jwt_assertions_are_checked_and_verified() {
    use aws_lc_rs::{rand, rsa, signature};
    let org = org().await;
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let text = |value: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value);
    let options = Options::default();
    let assertion = |aud: &str, sub: &str, exp: i64, spoil: bool| {
        let claims = json!({"iss": options.client_id, "sub": sub, "aud": aud, "exp": exp});
        let message = format!("{}.{}", text(br#"{"alg":"RS256"}"#), text(claims.to_string().as_bytes()));
        let mut signed = vec![0; pair.public_modulus_len()];
        pair.sign(&signature::RSA_PKCS1_SHA256, &rand::SystemRandom::new(), message.as_bytes(), &mut signed).unwrap();
        if spoil {
            signed[0] ^= 1;
        }
        format!("{message}.{}", text(&signed))
    };
    let key = signature::KeyPair::public_key(&pair).as_ref().to_vec();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64::engine::general_purpose::STANDARD.encode(key));
    org.settings(json!({"jwt_public_key": pem})).await;
    let now = chrono::Utc::now().timestamp();
    let login = "https://login.salesforce.com";
    let grant = |assertion: String| {
        let org = &org;
        async move { org.token(&[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)]).await }
    };
    let (status, reply) = grant(assertion(login, &options.username, now + 170, false)).await;
    assert_eq!(status, 200);
    assert!(reply.get("issued_at").is_none() && reply.get("refresh_token").is_none());
    for (assertion, says) in [
        (assertion(login, &options.username, now + 170, true), "invalid assertion"),
        (assertion("https://elsewhere.example", &options.username, now + 170, false), "audience is invalid"),
        (assertion(login, "nobody@example.com", now + 170, false), "user hasn't approved this consumer"),
        (assertion(login, &options.username, now - 600, false), "expired authorization code"),
    ] {
        assert_eq!(grant(assertion).await.1["error_description"], says);
    }
}

#[tokio::test]
async fn who_am_i_in_three_ways() {
    let org = org().await;
    let (_, resources) = org.get("").await;
    let identity = resources["identity"].as_str().unwrap().trim_start_matches(&org.sf.url).to_owned();
    let (_, who) = org.get(&identity).await;
    let (_, info) = org.get("/services/oauth2/userinfo").await;
    let user = org.query("SELECT Id, Username FROM User WHERE Username LIKE 'integration@%'").await;
    assert_eq!(who["user_id"], user["records"][0]["Id"]);
    assert_eq!((&info["user_id"], &info["organization_id"]), (&who["user_id"], &who["organization_id"]));
    let orgs = org
        .query("SELECT Id, Name, InstanceName, IsSandbox, TrialExpirationDate, NamespacePrefix, OrganizationType FROM Organization")
        .await;
    assert_eq!(orgs["records"][0]["Id"], who["organization_id"]);
    let soap = org.http.post(format!("{}/services/Soap/u/62.0", org.sf.url)).body(
        "<se:Envelope><se:Body><login><username>integration@lockstep.example</username><password>sandbox-passwordTOKEN</password></login></se:Body></se:Envelope>",
    );
    let soap = soap.send().await.unwrap().text().await.unwrap();
    assert!(soap.contains("<sessionId>00D") && soap.contains("/services/Soap/u/62.0/00D"), "{soap}");
    let gone = org.http.post(format!("{}/services/Soap/u/66.0", org.sf.url)).body("<login/>").send().await.unwrap();
    assert_eq!(gone.status(), 500);
}

#[tokio::test]
async fn versions_are_open_and_old_ones_are_gone() {
    let org = org().await;
    let open = org.http.get(format!("{}/services/data/", org.sf.url)).send().await.unwrap();
    assert!(open.headers().get("sforce-limit-info").is_none());
    let versions: Value = open.json().await.unwrap();
    assert!(
        versions
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["version"] == "66.0" && one["url"] == "/services/data/v66.0" && one["label"] == "Spring '26")
    );
    assert_eq!(org.get("/services/data/v30.0/limits").await.0, 410);
    assert_eq!(org.get("/services/data/v99.0/limits").await.0, 404);
    assert_eq!(org.get("nothing").await.0, 404);
    assert_eq!(org.send("PUT", "query", Value::Null).await.0, 405);
    let long = org.call(Method::GET, "query").query(&[("q", "x".repeat(17_000))]).send().await.unwrap();
    assert_eq!(long.status(), 414);
    assert!(long.text().await.unwrap().starts_with("<h1>"));
}

#[tokio::test]
async fn records_are_created_read_changed_and_deleted() {
    let org = org().await;
    let (status, made) = org.send("POST", "sobjects/account/", json!({"name": " Acme ", "BillingCity": "Bern", "annualrevenue": 5})).await;
    assert_eq!((status, &made["success"], &made["errors"]), (201, &json!(true), &json!([])));
    let id = made["id"].as_str().unwrap();
    let (_, row) = org.get(&format!("sobjects/ACCOUNT/{}", &id[..15])).await;
    assert_eq!(row["attributes"], json!({"type": "Account", "url": format!("/services/data/v66.0/sobjects/Account/{id}")}));
    assert_eq!(
        (&row["Name"], &row["AnnualRevenue"], &row["BillingAddress"]["city"], &row["Phone"]),
        (&json!("Acme"), &json!(5.0), &json!("Bern"), &json!(null))
    );
    assert!(row["SystemModstamp"].as_str().unwrap().ends_with(".000+0000"));
    let (_, few) = org.get(&format!("sobjects/Account/{id}?fields=name,Owner.Name")).await;
    assert_eq!(few.as_object().unwrap().len(), 4);
    assert_eq!(few["Owner"]["Name"], json!("Lockstep Integration"));
    let (status, body) = org.get(&format!("sobjects/Account/{id}?fields=Nope")).await;
    assert_eq!((status, code(&body)), (400, "INVALID_FIELD"));

    assert_eq!(org.send("PATCH", &format!("sobjects/Account/{id}"), json!({"Phone": "1"})).await, (204, Value::Null));
    let (status, body) = org.send("PATCH", &format!("sobjects/Account/{id}"), json!({"Phoney": "1"})).await;
    assert_eq!(
        (status, &body),
        (400, &json!([{"message": "No such column 'Phoney' on sobject of type Account", "errorCode": "INVALID_FIELD"}]))
    );
    assert_eq!(org.send("DELETE", &format!("sobjects/Account/{id}"), Value::Null).await, (204, Value::Null));

    let unknown = "001RM000000000zzzz";
    let fresh = org.sf.world().insert("Account", &json!({"Name": "x"})).unwrap();
    org.sf.world().purge("Account", &fresh).unwrap();
    for (method, body) in [("GET", Value::Null), ("PATCH", json!({"Phone": "2"})), ("DELETE", Value::Null)] {
        let (status, reply) = org.send(method, &format!("sobjects/Account/{id}"), body.clone()).await;
        assert_eq!((status, code(&reply)), (404, "ENTITY_IS_DELETED"), "{method}");
        let (status, reply) = org.send(method, &format!("sobjects/Account/{fresh}"), body).await;
        assert_eq!((status, code(&reply)), (404, if method == "GET" { "NOT_FOUND" } else { "INVALID_CROSS_REFERENCE_KEY" }));
    }
    assert_eq!(org.get(&format!("sobjects/Account/{unknown}")).await.0, 404);
    let (status, reply) = org.send("POST", "sobjects/Account", json!({})).await;
    assert_eq!((status, &reply[0]["fields"], code(&reply)), (400, &json!(["Name"]), "REQUIRED_FIELD_MISSING"));
    let broken = org.call(Method::POST, "sobjects/Account").body("{\"Name\":").send().await.unwrap();
    assert_eq!((broken.status().as_u16(), code(&broken.json::<Value>().await.unwrap())), (400, "JSON_PARSER_ERROR"));
}

#[tokio::test]
async fn conditions_on_a_record_and_on_describe() {
    let org = org().await;
    org.sf.wire.clock.freeze("2026-01-02T03:04:05Z".parse().unwrap());
    let id = org.accounts(1).await.remove(0);
    let path = format!("sobjects/Account/{id}");
    let patch = |name: &'static str, value: &str| org.call(Method::PATCH, &path).header(name, value).json(&json!({"Phone": "1"})).send();
    assert_eq!(patch("If-Unmodified-Since", "Fri, 02 Jan 2026 03:04:04 GMT").await.unwrap().status(), 412);
    assert_eq!(patch("If-Unmodified-Since", "Fri, 02 Jan 2026 03:04:05 GMT").await.unwrap().status(), 204);
    assert_eq!(patch("If-Unmodified-Since", "soon").await.unwrap().status(), 400);
    let tag = org.call(Method::GET, &path).send().await.unwrap().headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(
        org.call(Method::GET, &path)
            .header("If-None-Match", format!("{}--gzip\"", tag.trim_end_matches('"')))
            .send()
            .await
            .unwrap()
            .status(),
        304
    );
    assert_eq!(patch("If-Match", "\"other\"").await.unwrap().status(), 412);
    assert_eq!(patch("If-Match", &tag).await.unwrap().status(), 204);
    let describe = |since: &str| org.call(Method::GET, "sobjects/Account/describe").header("If-Modified-Since", since).send();
    assert_eq!(describe("Fri, 02 Jan 2036 03:04:05 GMT").await.unwrap().status(), 304);
    assert_eq!(describe("Fri, 02 Jan 2016 03:04:05 GMT").await.unwrap().status(), 200);
}

#[tokio::test]
async fn describe_tells_fields_lookups_and_children() {
    let org = org().await;
    let (_, global) = org.get("sobjects/").await;
    assert!(
        global["sobjects"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["name"] == "License__c" && one["keyPrefix"].as_str().unwrap().starts_with('a'))
    );
    let (_, account) = org.get("sobjects/account/describe/").await;
    let field = |name: &str| account["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).cloned().unwrap();
    let name = field("Name");
    assert_eq!(
        (&name["nillable"], &name["createable"], &name["defaultedOnCreate"], &name["length"]),
        (&json!(false), &json!(true), &json!(false), &json!(255))
    );
    let key = field("Lockstep_Id__c");
    assert_eq!(
        (&key["externalId"], &key["unique"], &key["idLookup"], &key["caseSensitive"]),
        (&json!(true), &json!(true), &json!(true), &json!(true))
    );
    let stamp = field("SystemModstamp");
    assert_eq!((&stamp["createable"], &stamp["updateable"], &stamp["type"]), (&json!(false), &json!(false), &json!("datetime")));
    assert_eq!(
        (&field("BillingCity")["compoundFieldName"], &field("BillingAddress")["type"]),
        (&json!("BillingAddress"), &json!("address"))
    );
    assert_eq!(field("ParentId")["referenceTo"], json!(["Account"]));
    let children = account["childRelationships"].as_array().unwrap();
    assert!(
        children
            .iter()
            .any(|child| child["childSObject"] == "Contact" && child["relationshipName"] == "Contacts" && child["cascadeDelete"] == true)
    );
    org.settings(json!({"hide_field": {"object": "Account", "field": "Phone"}, "readonly_field": {"object": "Account", "field": "Fax"}}))
        .await;
    let (_, account) = org.get("sobjects/Account/describe").await;
    let fields = account["fields"].as_array().unwrap();
    assert!(!fields.iter().any(|field| field["name"] == "Phone"));
    assert!(fields.iter().any(|field| field["name"] == "Fax" && field["updateable"] == false));
    let (_, reply) = org.send("POST", "sobjects/Account", json!({"Name": "A", "Fax": "1"})).await;
    assert_eq!(code(&reply), "INVALID_FIELD_FOR_INSERT_UPDATE");
    let (_, reply) = org.send("POST", "sobjects/Account", json!({"Name": "A", "Phone": "1"})).await;
    assert_eq!(code(&reply), "INVALID_FIELD");
    assert_eq!(code(&org.query("SELECT Phone FROM Account").await), "INVALID_FIELD");
}

#[tokio::test]
async fn pages_follow_their_locator_until_done() {
    let org = org().await;
    let ids = org.accounts(25).await;
    org.settings(json!({"page_size": 10})).await;
    org.sf.world().delete("Account", &ids[24]).unwrap();
    let reply = org.call(Method::GET, "queryAll/").query(&[("q", "SELECT Id, IsDeleted FROM Account ORDER BY Id")]).send().await.unwrap();
    let mut page: Value = reply.json().await.unwrap();
    assert_eq!((&page["totalSize"], &page["done"]), (&json!(25), &json!(false)));
    let mut seen = Vec::new();
    loop {
        seen.extend(page["records"].as_array().unwrap().iter().map(|row| row["Id"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextRecordsUrl"].as_str() else { break };
        assert!(next.starts_with("/services/data/v66.0/query/01g"), "{next}");
        page = org.get(next).await.1;
    }
    assert_eq!((seen, &page["done"]), (ids, &json!(true)));
    assert_eq!(page["records"].as_array().unwrap().last().unwrap()["IsDeleted"], json!(true));
    assert_eq!(org.query("SELECT COUNT() FROM Account").await, json!({"totalSize": 24, "done": true, "records": []}));
    assert_eq!(org.query("SELECT Id FROM Account WHERE Name = 'none'").await, json!({"totalSize": 0, "done": true, "records": []}));
}

#[tokio::test]
async fn locators_expire_and_the_eleventh_evicts_the_first() {
    let org = org().await;
    org.accounts(25).await;
    org.settings(json!({"page_size": 10})).await;
    let first = org.query("SELECT Id FROM Account").await["nextRecordsUrl"].as_str().unwrap().to_owned();
    assert_eq!(org.get(&first).await.0, 200);
    org.sf.wire.clock.advance(chrono::Duration::minutes(16));
    assert_eq!(code(&org.get(&first).await.1), "INVALID_QUERY_LOCATOR");
    let mut urls = Vec::new();
    for _ in 0..11 {
        urls.push(org.query("SELECT Id FROM Account").await["nextRecordsUrl"].as_str().unwrap().to_owned());
    }
    assert_eq!(code(&org.get(&urls[0]).await.1), "INVALID_QUERY_LOCATOR");
    assert_eq!(org.get(&urls[1]).await.0, 200);
}

#[tokio::test]
async fn ties_shuffle_and_pages_shrink_when_told() {
    let org = org().await;
    org.sf.wire.clock.freeze("2026-01-02T03:04:05Z".parse().unwrap());
    org.accounts(400).await;
    org.settings(json!({"shuffle_ties": true, "page_size": 100, "jitter_pages": true, "jitter_min": 5})).await;
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    let mut sizes = std::collections::BTreeSet::new();
    let mut page = org.query("SELECT Id FROM Account ORDER BY SystemModstamp").await;
    loop {
        let records = page["records"].as_array().unwrap();
        sizes.insert(records.len());
        for row in records {
            *seen.entry(row["Id"].to_string()).or_default() += 1;
        }
        let Some(next) = page["nextRecordsUrl"].as_str() else { break };
        page = org.get(next).await.1;
    }
    assert!(seen.len() < 400 && seen.values().any(|count| *count > 1), "{} of 400", seen.len());
    assert!(sizes.len() > 2, "{sizes:?}");
    let ordered = org.query("SELECT Id FROM Account ORDER BY SystemModstamp, Id LIMIT 50").await;
    let ids: Vec<&str> = ordered["records"].as_array().unwrap().iter().map(|row| row["Id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted());
}

#[tokio::test]
async fn upsert_by_an_external_id_has_four_answers() {
    let org = org().await;
    let path = "sobjects/Account/lockstep_id__c/a%2Fb%20c";
    let (status, made) = org.send("PATCH", path, json!({"Name": "A"})).await;
    assert_eq!((status, &made["created"]), (201, &json!(true)));
    let (status, again) = org.send("PATCH", path, json!({"Name": "B"})).await;
    assert_eq!((status, &again), (200, &json!({"id": made["id"], "success": true, "errors": [], "created": false})));
    let (_, row) = org.get(path).await;
    assert_eq!((&row["Name"], &row["Lockstep_Id__c"]), (&json!("B"), &json!("a/b c")));
    assert_eq!(org.send("PATCH", "/services/data/v45.0/sobjects/Account/Lockstep_Id__c/a%2Fb%20c", json!({"Name": "C"})).await.0, 204);
    assert_eq!(org.send("PATCH", "sobjects/Account/Lockstep_Id__c/new?updateOnly=true", json!({"Name": "C"})).await.0, 404);
    let (status, reply) = org.send("PATCH", "sobjects/Account/Namez/x", json!({"Name": "C"})).await;
    assert_eq!(
        (status, &reply),
        (404, &json!([{"message": "Provided external ID field does not exist or is not accessible: Namez", "errorCode": "NOT_FOUND"}]))
    );
    let (_, reply) = org.send("PATCH", path, json!({"Lockstep_Id__c": "a/b c"})).await;
    assert_eq!(code(&reply), "INVALID_FIELD");
    let xml = "<CustomField><fullName>Loose__c</fullName><type>Text</type><length>20</length><externalId>true</externalId></CustomField>";
    org.settings(json!({"add_field": {"object": "Account", "xml": xml}})).await;
    for name in ["X", "Y"] {
        org.sf.world().insert("Account", &json!({"Name": name, "Loose__c": "same"})).unwrap();
    }
    let (status, urls) = org.send("PATCH", "sobjects/Account/Loose__c/SAME", json!({"Name": "Z"})).await;
    assert_eq!((status, urls.as_array().unwrap().len()), (300, 2));
    assert!(urls[0].as_str().unwrap().starts_with("/services/data/v66.0/sobjects/Account/001"));
    assert_eq!(org.send("DELETE", path, Value::Null).await.0, 204);
    assert_eq!(org.get(path).await.0, 404);
}

#[tokio::test]
async fn collections_in_five_forms() {
    let org = org().await;
    let record = |name: Value| json!({"attributes": {"type": "account"}, "Name": name});
    let (status, made) =
        org.send("POST", "composite/sobjects", json!({"records": [record(json!("A")), record(json!(null)), record(json!("C"))]})).await;
    assert_eq!((status, &made[1]["success"], &made[1]["errors"][0]["statusCode"]), (200, &json!(false), &json!("REQUIRED_FIELD_MISSING")));
    assert!(made[1].get("id").is_none() && made[1]["errors"][0].get("errorCode").is_none());
    let (a, c) = (made[0]["id"].clone(), made[2]["id"].clone());

    let change = |id: &Value, phone: &str| json!({"attributes": {"type": "Account"}, "id": id, "Phone": phone});
    let body = json!({"allOrNone": true, "records": [change(&a, "1"), change(&c, &"9".repeat(50))]});
    let (_, rolled) = org.send("PATCH", "composite/sobjects/", body).await;
    assert_eq!((&rolled[0]["success"], &rolled[0]["id"]), (&json!(false), &a));
    assert_eq!(rolled[0]["errors"][0]["statusCode"], "ALL_OR_NONE_OPERATION_ROLLED_BACK");
    assert_eq!(rolled[1]["errors"][0]["statusCode"], "STRING_TOO_LONG");
    let ids = format!("{},{},001RM000000zzzz", a.as_str().unwrap(), c.as_str().unwrap());
    let (_, rows) = org.get(&format!("composite/sobjects/Account?ids={ids}&fields=Name,Phone")).await;
    assert_eq!((&rows[0]["Phone"], &rows[1]["Name"], &rows[2]), (&json!(null), &json!("C"), &json!(null)));
    let (_, rows) = org.send("POST", "composite/sobjects/Account", json!({"ids": [a, c], "fields": ["Id", "Name"]})).await;
    assert_eq!(rows.as_array().unwrap().len(), 2);

    let keyed = |key: &str, name: &str| json!({"attributes": {"type": "Account"}, "Lockstep_Id__c": key, "Name": name});
    let body = json!({"records": [keyed("k1", "K"), keyed("k2", "L"), keyed("k2", "M")]});
    let (_, saved) = org.send("PATCH", "composite/sobjects/Account/Lockstep_Id__c", body.clone()).await;
    assert_eq!(
        (&saved[0]["created"], &saved[1]["errors"][0]["statusCode"], &saved[2]["success"]),
        (&json!(true), &json!("DUPLICATE_VALUE"), &json!(false))
    );
    let (_, saved) = org.send("PATCH", "composite/sobjects/Account/Lockstep_Id__c", body).await;
    assert_eq!(saved[0]["created"], json!(false));

    let (_, gone) = org.send("DELETE", &format!("composite/sobjects?ids={ids}&allOrNone=false"), Value::Null).await;
    assert_eq!((&gone[0]["success"], &gone[2]["errors"][0]["statusCode"]), (&json!(true), &json!("INVALID_CROSS_REFERENCE_KEY")));
    let many: Vec<Value> = (0..201).map(|n| record(json!(n.to_string()))).collect();
    assert_eq!(org.send("POST", "composite/sobjects", json!({"records": many})).await.0, 400);
    let kinds =
        ["Account", "Contact"].iter().cycle().take(11).map(|kind| json!({"attributes": {"type": kind}, "Name": "x"})).collect::<Vec<_>>();
    assert_eq!(org.send("POST", "composite/sobjects", json!({"records": kinds})).await.0, 400);
}

#[tokio::test]
async fn composite_refers_rolls_back_and_costs_one_call() {
    let org = org().await;
    let base = "/services/data/v66.0";
    let make = json!({"method": "POST", "url": format!("{base}/sobjects/Account"), "referenceId": "acc", "body": {"Name": "A"}});
    let child = json!({"method": "POST", "url": format!("{base}/sobjects/Contact"), "referenceId": "con", "body": {"LastName": "L", "AccountId": "@{acc.id}"}});
    let look = json!({"method": "GET", "url": format!("{base}/query/?q=SELECT+Id+FROM+Contact+WHERE+AccountId='@{{acc.id}}'"), "referenceId": "look"});
    let bad =
        json!({"method": "PATCH", "url": format!("{base}/sobjects/Account/@{{acc.id}}"), "referenceId": "bad", "body": {"Name": null}});
    let before = org.sf.world().calls.get("total").copied().unwrap_or(0);
    let (status, reply) = org.send("POST", "composite", json!({"compositeRequest": [make, child, look, bad]})).await;
    assert_eq!(status, 200);
    let parts = &reply["compositeResponse"];
    let statuses: Vec<u64> = parts.as_array().unwrap().iter().map(|part| part["httpStatusCode"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 200, 400]);
    assert_eq!((&parts[2]["body"]["totalSize"], &parts[0]["referenceId"]), (&json!(1), &json!("acc")));
    assert!(parts[0]["httpHeaders"]["Location"].is_string());
    assert_eq!(org.sf.world().calls["total"] - before, 1);

    let counted = org.sf.world().counts()["Account"];
    let (_, reply) = org.send("POST", "composite", json!({"allOrNone": true, "compositeRequest": [make, bad, child]})).await;
    let parts = reply["compositeResponse"].as_array().unwrap();
    assert_eq!((parts[0]["httpStatusCode"].as_u64(), parts[0]["body"][0]["errorCode"].as_str()), (Some(400), Some("PROCESSING_HALTED")));
    assert_eq!(parts[1]["body"][0]["errorCode"], "REQUIRED_FIELD_MISSING");
    assert_eq!(parts[2]["body"][0]["errorCode"], "PROCESSING_HALTED");
    assert_eq!(org.sf.world().counts()["Account"], counted);

    let query =
        |n: usize| json!({"method": "GET", "url": format!("{base}/queryAll?q=SELECT+Id+FROM+Account"), "referenceId": format!("q{n}")});
    assert_eq!(org.send("POST", "composite", json!({"compositeRequest": (0..6).map(query).collect::<Vec<_>>()})).await.0, 400);
    assert_eq!(org.send("POST", "composite", json!({"compositeRequest": (0..5).map(query).collect::<Vec<_>>()})).await.0, 200);
    assert_eq!(org.send("POST", "composite", json!({"compositeRequest": [query(1), query(1)]})).await.0, 400);
}

#[tokio::test]
async fn batch_graph_and_tree() {
    let org = org().await;
    let batch = json!({"haltOnError": true, "batchRequests": [
        {"method": "GET", "url": "v66.0/limits"}, {"method": "GET", "url": "v66.0/sobjects/Nope/describe"}, {"method": "GET", "url": "/services/data/v66.0/limits"}]});
    let before = org.sf.world().calls.get("total").copied().unwrap_or(0);
    let (_, reply) = org.send("POST", "composite/batch", batch).await;
    let statuses: Vec<u64> = reply["results"].as_array().unwrap().iter().map(|one| one["statusCode"].as_u64().unwrap()).collect();
    assert_eq!((statuses, &reply["hasErrors"]), (vec![200, 404, 412], &json!(true)));
    assert_eq!(org.sf.world().calls["total"] - before, 3);

    let node = |reference: &str, name: Value| json!({"method": "POST", "url": "/services/data/v66.0/sobjects/Account", "referenceId": reference, "body": {"Name": name}});
    let graphs = json!({"graphs": [{"graphId": "1", "compositeRequest": [node("a", json!("A"))]}, {"graphId": "2", "compositeRequest": [node("b", json!("B")), node("c", json!(null))]}]});
    let (_, reply) = org.send("POST", "composite/graph", graphs).await;
    assert_eq!((&reply["graphs"][0]["isSuccessful"], &reply["graphs"][1]["isSuccessful"]), (&json!(true), &json!(false)));
    assert_eq!(org.sf.world().counts()["Account"], 1);

    let person = |reference: &str, last: Value| json!({"attributes": {"type": "Contact", "referenceId": reference}, "LastName": last});
    let tree = |last: Value| json!({"records": [{"attributes": {"type": "Account", "referenceId": "r1"}, "Name": "T", "Contacts": {"records": [person("r2", last)]}}]});
    let (status, reply) = org.send("POST", "composite/tree/Account/", tree(json!("L"))).await;
    assert_eq!((status, &reply["hasErrors"], reply["results"].as_array().unwrap().len()), (201, &json!(false), 2));
    let (status, reply) = org.send("POST", "composite/tree/Account", tree(json!(null))).await;
    assert_eq!((status, &reply["results"][0]["referenceId"], &reply["hasErrors"]), (400, &json!("r2"), &json!(true)));
    assert_eq!(org.sf.world().counts()["Account"], 2);
}

#[tokio::test]
async fn updated_and_deleted_with_their_windows() {
    let org = org().await;
    org.sf.wire.clock.freeze("2026-03-10T12:00:00Z".parse().unwrap());
    let ids = org.accounts(2).await;
    org.sf.world().delete("Account", &ids[1]).unwrap();
    org.sf.wire.clock.advance(chrono::Duration::minutes(5));
    let window = "start=2026-03-10T11:59:00%2B00:00&end=2026-03-10T12:04:00%2B00:00";
    let (_, updated) = org.get(&format!("sobjects/Account/updated/?{window}")).await;
    assert_eq!(updated, json!({"ids": [ids[0]], "latestDateCovered": "2026-03-10T12:04:00.000+0000"}));
    let (_, deleted) = org.get(&format!("sobjects/Account/deleted/?{window}")).await;
    assert_eq!(deleted["deletedRecords"], json!([{"id": ids[1], "deletedDate": "2026-03-10T12:00:00.000+0000"}]));
    assert!(deleted["earliestDateAvailable"].is_string());
    org.sf.world().begin("create", "Account", None, &json!({"Name": "late"}), "2026-03-10T13:00:00Z".parse().unwrap()).unwrap();
    org.sf.wire.clock.advance(chrono::Duration::minutes(5));
    let (_, covered) = org.get("sobjects/Account/updated?start=2026-03-10T11:59:00Z&end=2026-03-10T12:09:00Z").await;
    assert_eq!(covered["latestDateCovered"], "2026-03-10T12:05:00.000+0000");
    for window in
        ["start=2026-03-10T12:00:00Z&end=2026-03-10T12:00:00Z", "start=2026-01-10T12:00:00Z&end=2026-03-10T12:00:00Z", "start=x&end=y"]
    {
        assert_eq!(code(&org.get(&format!("sobjects/Account/updated/?{window}")).await.1), "INVALID_REPLICATION_DATE");
    }
}

#[tokio::test]
async fn the_allowance_is_counted_and_ends() {
    let org = org().await;
    let reply = org.call(Method::GET, "limits").send().await.unwrap();
    assert_eq!(reply.headers()["sforce-limit-info"], "api-usage=1/100000");
    org.settings(json!({"daily_max": 2})).await;
    assert_eq!(org.get("query?q=nonsense").await.0, 400);
    let reply = org.call(Method::GET, "limits").send().await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.headers()["sforce-limit-info"].to_str().unwrap()), (403, "api-usage=2/2"));
    assert_eq!(
        reply.json::<Value>().await.unwrap(),
        json!([{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}])
    );
    org.sf.wire.clock.advance(chrono::Duration::hours(25));
    let token = org.sf.world().mint_token();
    let later = org.http.get(format!("{}/services/data/v66.0/limits", org.sf.url)).bearer_auth(token).send().await.unwrap();
    assert_eq!(later.status(), 200);
}

#[tokio::test]
async fn the_control_routes_edit_like_a_person() {
    let org = org().await;
    let edit = |edit: Value| {
        let org = &org;
        async move { org.send("POST", "/__control/edit", edit).await }
    };
    let (_, made) = edit(json!([{"do": "create", "object": "Account", "fields": {"Name": "A"}, "stamp": "2026-01-02T03:04:05Z"}, {"do": "create", "object": "Account", "fields": {"Name": "B"}}])).await;
    let (a, b) = (made["ids"][0].as_str().unwrap(), made["ids"][1].as_str().unwrap());
    let (_, row) = org.get(&format!("/__control/state?object=account&id={a}")).await;
    assert_eq!(
        (&row["SystemModstamp"], &row["CreatedDate"]),
        (&json!("2026-01-02T03:04:05.000+0000"), &json!("2026-01-02T03:04:05.000+0000"))
    );
    assert_eq!(edit(json!({"do": "merge", "object": "Account", "id": a, "losers": [b]})).await.0, 200);
    let merged = org
        .call(Method::GET, "queryAll")
        .query(&[("q", format!("SELECT MasterRecordId FROM Account WHERE Id = '{b}'"))])
        .send()
        .await
        .unwrap();
    assert_eq!(merged.json::<Value>().await.unwrap()["records"][0]["MasterRecordId"], json!(a));
    let (status, error) = edit(json!({"do": "update", "object": "Account", "id": a, "fields": {"Nope": 1}})).await;
    assert_eq!((status, &error["code"]), (400, &json!("INVALID_FIELD")));
    let (_, state) = org.get("/__control/state").await;
    assert_eq!((&state["counts"]["Account"], &state["calls"]["query"]), (&json!(1), &json!(1)));
    assert_eq!(org.send("POST", "/__control/settings", json!({"colour": 1})).await.0, 400);
    org.settings(json!({"org_id": "00D000000000009", "is_sandbox": true})).await;
    assert_eq!(org.get("limits").await.0, 401);
    let token = org.sf.world().mint_token();
    let query =
        org.http.get(format!("{}/services/data/v66.0/query?q=SELECT+Id,IsSandbox+FROM+Organization", org.sf.url)).bearer_auth(token);
    let orgs: Value = query.send().await.unwrap().json().await.unwrap();
    assert_eq!((&orgs["records"][0]["Id"].as_str().unwrap()[..15], &orgs["records"][0]["IsSandbox"]), ("00D000000000009", &json!(true)));
    assert_eq!(org.send("POST", "/__control/reset", json!({})).await.0, 200);
    assert!(!org.sf.world().counts().contains_key("Account"));
}

#[tokio::test]
async fn bulk_queries_page_through_csv() {
    let org = org().await;
    org.accounts(5).await;
    org.sf.world().insert("Account", &json!({"Name": "quote \" comma, here", "Phone": "1"})).unwrap();
    org.settings(json!({"bulk_delay_polls": 1})).await;
    let (_, job) = org
        .send("POST", "jobs/query", json!({"operation": "query", "query": "SELECT Id, Name, Phone, Owner.Name FROM Account ORDER BY Name"}))
        .await;
    assert_eq!((&job["state"], &job["apiVersion"], job.get("query")), (&json!("UploadComplete"), &json!(66.0), None));
    let path = format!("jobs/query/{}", job["id"].as_str().unwrap());
    assert_eq!(org.get(&path).await.1["state"], "InProgress");
    let (_, done) = org.get(&path).await;
    assert_eq!((&done["state"], &done["numberRecordsProcessed"]), (&json!("JobComplete"), &json!(6)));
    let (mut locator, mut rows) = (String::new(), Vec::new());
    loop {
        let from = if locator.is_empty() { String::new() } else { format!("&locator={locator}") };
        let reply = org.call(Method::GET, &format!("{path}/results?maxRecords=4{from}")).send().await.unwrap();
        locator = reply.headers()["sforce-locator"].to_str().unwrap().to_owned();
        let text = reply.text().await.unwrap();
        assert!(text.starts_with("\"Id\",\"Name\",\"Phone\",\"Owner.Name\"\n"), "{text}");
        rows.extend(csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap));
        if locator == "null" {
            break;
        }
    }
    assert_eq!((rows.len(), &rows[5][1], &rows[0][2], &rows[0][3]), (6, "quote \" comma, here", "", "Dana Reyes"));
    assert_eq!(org.get(&format!("/services/data/v65.0/{path}/results")).await.0, 409);
    assert_eq!(org.send("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(org.get(&path).await.0, 404);
}

#[tokio::test]
async fn bulk_ingest_tells_each_row() {
    let org = org().await;
    let (_, job) = org.send("POST", "jobs/ingest", json!({"object": "account", "operation": "upsert", "externalIdFieldName": "Lockstep_Id__c", "contentType": "CSV", "lineEnding": "LF"})).await;
    let id = job["id"].as_str().unwrap();
    assert_eq!((&job["state"], &job["contentUrl"]), (&json!("Open"), &json!(format!("services/data/v66.0/jobs/ingest/{id}/batches"))));
    let csv = "Lockstep_Id__c,Name,Phone\nk1,One,1\nk2,,2\nk3,Three,#N/A\n";
    let put =
        org.call(Method::PUT, &format!("jobs/ingest/{id}/batches/")).header("Content-Type", "text/csv").body(csv).send().await.unwrap();
    assert_eq!(put.status(), 201);
    assert_eq!(org.send("PATCH", &format!("jobs/ingest/{id}"), json!({"state": "UploadComplete"})).await.1["state"], "UploadComplete");
    let (_, done) = org.get(&format!("jobs/ingest/{id}")).await;
    assert_eq!(
        (&done["state"], &done["numberRecordsFailed"], &done["numberRecordsProcessed"]),
        (&json!("JobComplete"), &json!(1), &json!(3))
    );
    let text = |name: &str| {
        let call = org.call(Method::GET, &format!("jobs/ingest/{id}/{name}"));
        async move { call.send().await.unwrap().text().await.unwrap() }
    };
    let failed = text("failedResults/").await;
    assert!(failed.contains("REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --") && failed.contains("\"k2\""), "{failed}");
    assert_eq!(text("successfulResults").await.lines().count(), 3);
    assert_eq!(text("unprocessedrecords").await.lines().count(), 1);
    assert_eq!(org.query("SELECT Phone FROM Account WHERE Lockstep_Id__c = 'k3'").await["records"][0]["Phone"], json!(null));
}

#[tokio::test]
async fn a_lost_answer_leaves_the_record_behind() {
    let org = org().await;
    org.sf.wire.faults.add(&json!({"on": "POST /services/data/v66.0/sobjects/Account", "do": "reset_after"})).unwrap();
    let lost = org.call(Method::POST, "sobjects/Account").json(&json!({"Name": "A"})).send().await;
    assert!(lost.is_err());
    assert_eq!(org.query("SELECT COUNT() FROM Account").await["totalSize"], 1);
}

#[tokio::test]
async fn the_cli_gets_its_columns() {
    let org = org().await;
    let reply = org
        .call(Method::GET, "query")
        .query(&[("q", "SELECT Id, Name, Owner.Name FROM Account"), ("columns", "true")])
        .send()
        .await
        .unwrap();
    let columns: Value = reply.json().await.unwrap();
    assert_eq!((&columns["entityName"], &columns["idSelected"], &columns["groupBy"]), (&json!("Account"), &json!(true), &json!(false)));
    assert_eq!(columns["columnMetadata"][2]["joinColumns"][0]["columnName"], "Name");
}
