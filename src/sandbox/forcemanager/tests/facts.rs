//! Facts of the reference, sections 1 and 2, 4 to 6: log-in, fields and their forms, writes, errors, limits, extra fields.

use super::*;

// ---- 1 Transport and authentication ----

#[tokio::test]
async fn a_key_pair_logs_in_and_every_later_call_carries_the_token() {
    let sim = Sim::start().await;
    assert_eq!(sim.call("GET", "/accounts", Value::Null).await.status, 200);
    for headers in [&[][..], &[("X-Session-Key", "nonsense")], &[("Authorization", "Bearer x")]] {
        assert_eq!(sim.raw("GET", "/api/v4/accounts", headers, Value::Null).await.status, 401);
    }
    let wrong = json!({"username": sim.it.public_key, "password": "no"});
    assert_eq!(sim.raw("POST", "/api/v4/login", &[], wrong).await.status, 401);
    let swapped = json!({"username": sim.it.private_key, "password": sim.it.public_key});
    assert_eq!(sim.raw("POST", "/api/v4/login", &[], swapped).await.status, 401);
    assert_eq!(sim.raw("POST", "/api/v4/login", &[], json!({"username": sim.it.public_key})).await.status, 400);
}

#[tokio::test]
async fn a_token_ends_and_a_new_log_in_helps() {
    let mut sim = Sim::with(json!({"token_ttl_seconds": 600})).await;
    sim.pass(599).await;
    assert_eq!(sim.call("GET", "/users", Value::Null).await.status, 200);
    sim.pass(1).await;
    assert_eq!(sim.call("GET", "/users", Value::Null).await.status, 401);
    sim.switch(json!({"expired_status": 403})).await;
    assert_eq!(sim.call("GET", "/users", Value::Null).await.status, 403);
    let old = std::mem::take(&mut sim.token);
    sim.token = sim.log_in().await;
    assert_ne!(old, sim.token);
    assert_eq!(sim.call("GET", "/users", Value::Null).await.status, 200);
    sim.control("edit", json!({"op": "expire_tokens"})).await;
    assert_eq!(sim.call("GET", "/users", Value::Null).await.status, 403);
}

#[tokio::test]
async fn a_second_log_in_ends_the_first_only_if_told_so() {
    let sim = Sim::start().await;
    sim.log_in().await;
    assert_eq!(sim.call("GET", "/users", Value::Null).await.status, 200);
    sim.switch(json!({"one_session": true})).await;
    sim.log_in().await;
    assert_eq!(sim.call("GET", "/users", Value::Null).await.status, 401);
}

#[tokio::test]
async fn what_belongs_to_the_old_api_is_refused() {
    let sim = Sim::start().await;
    for header in ["X-FM-API-Version", "X-FM-PublicKey", "X-FM-UnixTimestamp", "X-FM-Signature"] {
        let got = sim.raw("GET", "/api/v4/accounts", &[("X-Session-Key", &sim.token), (header, "3")], Value::Null).await;
        assert_eq!(got.status, 400, "{header}");
    }
    for path in ["/companies", "/internalids"] {
        assert_eq!(sim.call("GET", path, Value::Null).await.json()["code"], 910);
    }
    assert_eq!(sim.call("GET", "/accounts?q=x", Value::Null).await.status, 400);
    assert_eq!(sim.raw("GET", "/api/v3/accounts", &[("X-Session-Key", &sim.token)], Value::Null).await.status, 404);
}

#[tokio::test]
async fn bodies_are_json() {
    let sim = Sim::start().await;
    let post = |kind: &'static str, body: &'static str| {
        let request = sim.http.post(format!("{}/accounts", sim.it.api_url())).header("X-Session-Key", &sim.token);
        request.header("Content-Type", kind).body(body)
    };
    for (kind, body) in [("application/json", "{"), ("application/json", "[]"), ("text/plain", "{}"), ("application/json", "")] {
        assert_eq!(post(kind, body).send().await.unwrap().status(), 400, "{kind} {body}");
    }
}

// ---- 2 Resources, fields, shapes ----

#[tokio::test]
async fn every_resource_of_the_reference_is_there_under_its_own_spelling() {
    let sim = Sim::start().await;
    for path in [
        "accounts",
        "contacts",
        "opportunities",
        "activities",
        "calendar",
        "users",
        "salesorders",
        "salesordersLines",
        "products",
        "accountTypes",
        "accountStatuses",
        "accountSegments",
        "contactTypes",
        "opportunityTypes",
        "opportunityStatuses",
        "activityTypes",
        "salesorderStatuses",
        "branches",
        "countries",
        "currencies",
        "timezones",
    ] {
        assert!(sim.get(&format!("/{path}")).await.is_array(), "{path}");
        assert!(sim.get(&format!("/{path}/schema")).await.as_array().unwrap().len() > 8, "{path}");
    }
    for path in ["Accounts", "salesOrders", "salesordersline", "tasks", "events"] {
        let got = sim.call("GET", &format!("/{path}"), Value::Null).await;
        assert_eq!((got.status, got.json()["code"].clone()), (400, json!(910)), "{path}");
    }
}

#[tokio::test]
async fn each_resource_names_what_a_create_needs() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    for (path, body) in [
        ("/accounts", sim.account_body("Birch")),
        ("/contacts", sim.contact_body(account)),
        ("/opportunities", sim.opportunity_body(account)),
        ("/activities", sim.activity_body(account)),
    ] {
        assert_eq!(sim.call("POST", path, body.clone()).await.status, 200, "{path}");
        for name in body.as_object().unwrap().keys().filter(|name| *name != "accountId1") {
            let mut less = body.clone();
            less.as_object_mut().unwrap().remove(name);
            let got = sim.call("POST", path, less.clone()).await;
            assert_eq!(got.message(), format!("{name} is required"), "{path}");
            less[name] = Value::Null;
            assert_eq!(sim.call("POST", path, less).await.status, 400, "{path} {name}");
        }
    }
    assert_eq!(sim.call("POST", "/calendar", json!({})).await.status, 200);
    assert_eq!(sim.call("POST", "/salesorders", json!({})).await.message(), "statusId is required");
}

#[tokio::test]
async fn unknown_and_read_only_fields_are_refused_unless_lenient() {
    let sim = Sim::start().await;
    for (name, value) in [
        ("id", json!(5)),
        ("dateCreated", json!("2018-06-19 10:42:12")),
        ("deleted", json!(true)),
        ("salesRepIdUpdated", json!(sim.user("dreyes"))),
        ("readOnly", json!(true)),
        ("Name__c", json!("x")),
        ("Z_Nothing", json!("x")),
        ("company", json!("x")),
    ] {
        let mut body = sim.account_body("Alder");
        body[name] = value;
        assert_eq!(sim.call("POST", "/accounts", body.clone()).await.status, 400, "{name}");
        sim.switch(json!({"lenient": true})).await;
        let id = sim.post("/accounts", body).await;
        assert_eq!(sim.get(&format!("/accounts/{id}")).await["readOnly"], false);
        sim.switch(json!({"lenient": false})).await;
    }
}

#[tokio::test]
async fn values_of_another_kind_are_refused() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let opportunity = sim.post("/opportunities", sim.opportunity_body(account)).await;
    let event = sim.post("/calendar", sim.calendar_body(account, false)).await;
    for (path, name, value) in [
        ("accounts", "name", json!(5)),
        ("accounts", "name", json!("x".repeat(256))),
        ("accounts", "comment", json!("x".repeat(6001))),
        ("accounts", "address1", json!("x".repeat(181))),
        ("accounts", "city", json!("x".repeat(201))),
        ("accounts", "latitude", json!("1")),
        ("accounts", "public", json!("true")),
        ("accounts", "public", json!(1)),
        ("accounts", "statusId", json!("1")),
        ("accounts", "permissionLevel", json!(6)),
        ("opportunities", "total", json!("7")),
        ("opportunities", "salesForecastDate", json!("19.06.2018")),
        ("opportunities", "salesForecastDate", json!("2018-06-19T10:42:12Z")),
        ("calendar", "startDate", json!("2026-01-07")),
        ("calendar", "startDate", json!("07/01/2026")),
        ("calendar", "startHour", json!("9:00")),
        ("calendar", "startHour", json!("24:00")),
    ] {
        let id = match path {
            "accounts" => account,
            "opportunities" => opportunity,
            _ => event,
        };
        let before = sim.get(&format!("/{path}/{id}")).await;
        let got = sim.call("PUT", &format!("/{path}/{id}"), json!({ name: value })).await;
        assert!(got.message().starts_with(name), "{name}: {}", got.text);
        assert_eq!(sim.get(&format!("/{path}/{id}")).await, before, "{name}");
    }
}

#[tokio::test]
async fn the_probability_of_an_opportunity_goes_from_0_to_10() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    for (probability, status) in
        [(json!(0), 200), (json!(10), 200), (json!(11), 400), (json!(70), 400), (json!(-1), 400), (json!(0.5), 400)]
    {
        let mut body = sim.opportunity_body(account);
        body["salesProbability"] = probability.clone();
        assert_eq!(sim.call("POST", "/opportunities", body).await.status, status, "{probability}");
    }
}

#[tokio::test]
async fn an_opportunity_type_has_two_names() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let kind = sim.any(Object::OpportunityType);
    let mut body = sim.opportunity_body(account);
    body["type_id"] = json!(kind);
    let id = sim.post("/opportunities", body).await;
    assert_eq!(sim.get(&format!("/opportunities/{id}")).await["typeId"]["id"], kind);
    sim.switch(json!({"opportunity_type_key": "type_id"})).await;
    let shown = sim.get(&format!("/opportunities/{id}")).await;
    assert_eq!((shown["type_id"]["id"].clone(), shown.get("typeId")), (json!(kind), None));
}

#[tokio::test]
async fn references_are_read_as_objects_and_taken_as_integers() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let path = format!("/accounts/{account}");
    let shown = sim.get(&path).await;
    assert_eq!(shown["branchId"], json!({"id": sim.any(Object::Branch), "value": "Headquarter"}));
    assert_eq!(shown["salesRepId1"]["value"], "Dana Reyes");
    assert_eq!(shown["statusId"], Value::Null);
    let user = sim.get(&format!("/users/{}", sim.user("dreyes"))).await;
    assert_eq!(user["branches"][0], json!({"id": sim.any(Object::Branch), "description": "Headquarter"}));
    let echoed = sim.call("PUT", &path, json!({"branchId": shown["branchId"]})).await;
    assert!(echoed.message().starts_with("branchId"), "{}", echoed.text);
    for nobody in [999_999, 0, account] {
        assert_eq!(sim.call("PUT", &path, json!({ "salesRepId2": nobody })).await.status, 400, "{nobody}");
    }
    sim.switch(json!({"links_checked": false})).await;
    assert_eq!(sim.call("PUT", &path, json!({"salesRepId2": 999_999})).await.status, 200);
}

#[tokio::test]
async fn a_reference_comes_in_every_form_that_was_seen() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let path = format!("/accounts/{account}");
    for (none, shown) in [("null", Value::Null), ("zero", json!(0)), ("object", json!({"id": 0, "value": ""}))] {
        sim.switch(json!({ "no_reference": none })).await;
        assert_eq!(sim.get(&path).await["statusId"], shown, "{none}");
    }
    sim.switch(json!({"references": "integer"})).await;
    assert_eq!(sim.get(&path).await["branchId"], sim.any(Object::Branch));
    sim.switch(json!({"references": "mixed"})).await;
    let shown = sim.get(&path).await;
    let forms: Vec<bool> = ["branchId", "salesRepId1"].iter().map(|name| shown[*name].is_object()).collect();
    assert!(forms.contains(&true) && forms.contains(&false), "{shown}");
}

#[tokio::test]
async fn names_drift_in_case_and_spelling_only_when_told() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let contact = format!("/contacts/{}", sim.post("/contacts", sim.contact_body(account)).await);
    let task = format!("/calendar/{}", sim.post("/calendar", sim.calendar_body(account, true)).await);
    let opportunity = format!("/opportunities/{}", sim.post("/opportunities", sim.opportunity_body(account)).await);
    assert_eq!(sim.get(&task).await["completed"], false);
    assert_eq!(sim.get(&contact).await["useCompanyAddress"], false);
    sim.put(&contact, json!({"UseCompanyAddress": true})).await;
    sim.switch(json!({"key_case_drift": true, "swagger_typos": true})).await;
    let (contact, task, opportunity) = (sim.get(&contact).await, sim.get(&task).await, sim.get(&opportunity).await);
    assert_eq!((contact["UseCompanyAddress"].clone(), contact.get("useCompanyAddress")), (json!(true), None));
    assert_eq!((contact["lasttName"].clone(), contact.get("lastName")), (json!("Ito"), None));
    assert_eq!((task["Completed"].clone(), task.get("completed")), (json!(false), None));
    assert!(opportunity.get("salesForcecastDate").is_some() && opportunity.get("salesForecastDate").is_none());
}

#[tokio::test]
async fn deleted_is_a_flag_or_a_number() {
    let sim = Sim::start().await;
    let path = format!("/accounts/{}", sim.account("Alder").await);
    assert_eq!(sim.get(&path).await["deleted"], false);
    sim.switch(json!({"deleted_as_number": true})).await;
    assert_eq!(sim.get(&path).await["deleted"], 0);
    assert_eq!(sim.call("DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(sim.get(&path).await["deleted"], 1);
}

#[tokio::test]
async fn dates_that_never_were_are_shown_of_users() {
    let sim = Sim::start().await;
    let (user, account) = (format!("/users/{}", sim.user("dreyes")), format!("/accounts/{}", sim.account("Alder").await));
    let shown = sim.get(&user).await;
    assert_eq!((&shown["dateCreated"], &shown["dateDeleted"]), (&json!("1900-01-01T00:00:00Z"), &json!("1899-12-30T00:00:00Z")));
    assert_eq!(shown["deleted"], false);
    assert_eq!(sim.get(&account).await["dateDeleted"], Value::Null);
    sim.switch(json!({"sentinel_dates": "all"})).await;
    assert_eq!(sim.get(&account).await["dateDeleted"], "1899-12-30T00:00:00Z");
    sim.switch(json!({"sentinel_dates": "none"})).await;
    assert_eq!(sim.get(&user).await["dateDeleted"], Value::Null);
}

#[tokio::test]
async fn instants_are_read_in_utc_with_the_digits_they_need() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let path = format!("/accounts/{account}");
    assert_eq!(sim.get(&path).await["dateCreated"], "2026-01-05T06:31:19.47Z");
    sim.switch(json!({"stamp_digits": 0})).await;
    assert_eq!(sim.get(&path).await["dateCreated"], "2026-01-05T06:31:19Z");
}

#[tokio::test]
async fn instants_are_written_in_the_documented_form_and_may_be_taken_for_local_ones() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let path = format!("/activities/{}", sim.post("/activities", sim.activity_body(account)).await);
    assert_eq!(sim.get(&path).await["date"], "2026-01-04T10:42:12Z");
    sim.switch(json!({"written_ahead_minutes": 60})).await;
    sim.put(&path, json!({"date": "2026-01-04 10:42:12"})).await;
    assert_eq!(sim.get(&path).await["date"], "2026-01-04T09:42:12Z");
    assert_eq!(sim.call("PUT", &path, json!({"date": "2026-01-04T10:42:12Z"})).await.status, 400);
    sim.switch(json!({"written_dates": "any"})).await;
    sim.put(&path, json!({"date": "2026-01-04T10:42:12Z"})).await;
    assert_eq!(sim.get(&path).await["date"], "2026-01-04T10:42:12Z");
}

#[tokio::test]
async fn calendar_days_are_two_digit_years_first() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let mut body = sim.calendar_body(account, false);
    body["startDate"] = json!("15/07/09");
    let path = format!("/calendar/{}", sim.post("/calendar", body).await);
    let shown = sim.get(&path).await;
    assert_eq!((&shown["startDate"], &shown["endHour"]), (&json!("15/07/09"), &json!("23:59")));
    for (form, day) in [("day", "2015-07-09"), ("iso", "2015-07-09T00:00:00Z")] {
        sim.switch(json!({ "calendar_dates": form })).await;
        assert_eq!(sim.get(&path).await["startDate"], day);
    }
    let branch = sim.get(&format!("/branches/{}", sim.any(Object::Branch))).await;
    let zone = sim.get(&format!("/timezones/{}", branch["timeZoneId"]["id"])).await;
    assert_eq!(zone["idIanaZone"], "Europe/Madrid");
}

#[tokio::test]
async fn events_and_tasks_are_one_resource() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let event = sim.post("/calendar", sim.calendar_body(account, false)).await;
    let task = sim.post("/calendar", sim.calendar_body(account, true)).await;
    assert_eq!(ids(&sim.find("calendar", "task=false").await), [event]);
    assert_eq!(ids(&sim.find("calendar", "task=true").await), [task]);
    // A flag that was never set is false, not missing.
    assert_eq!(ids(&sim.find("calendar", "completed=false").await), [event, task]);
    sim.put(&format!("/calendar/{task}"), json!({"completed": true})).await;
    assert_eq!(ids(&sim.find("calendar", "completed=false").await), [event]);
    assert_eq!(sim.get(&format!("/calendar/{task}")).await["completed"], true);
}

#[tokio::test]
async fn value_lists_have_a_description_for_each_language() {
    let sim = Sim::start().await;
    let lost = sim.find("opportunityStatuses", "descriptionEN='Closed Lost'").await.remove(0);
    assert_eq!((&lost["descriptionES"], &lost["descriptionIT"], &lost["deleted"]), (&json!("Perdida"), &json!("Persa"), &json!(false)));
    assert_eq!(sim.find("countries", "iso2='CH'").await[0]["descriptionEN"], "Switzerland");
    sim.switch(json!({"value_list_shape": "nested"})).await;
    assert_eq!(sim.find("countries", "iso2='CH'").await[0]["description"], json!({"en": "Switzerland", "es": "Suiza", "it": "Svizzera"}));
    assert_eq!(sim.call("POST", "/accountTypes", json!({"descriptionEN": "New"})).await.status, 400);
}

#[tokio::test]
async fn the_schema_tells_type_length_and_rights_of_each_field() {
    let sim = Sim::start().await;
    let schema = sim.get("/calendar/schema").await;
    let of = |name: &str| schema.as_array().unwrap().iter().find(|field| field["name"] == name).cloned().unwrap_or_default();
    assert_eq!(of("comment")["maxLength"], 6000);
    assert_eq!((of("id")["readOnly"].clone(), of("subject")["readOnly"].clone()), (json!(true), json!(false)));
    assert!(of("Completed").is_object() && of("completed").is_null(), "the schema has its own capitals");
    let accounts = sim.get("/accounts/schema").await;
    let name = accounts.as_array().unwrap().iter().find(|field| field["name"] == "name").cloned().unwrap();
    assert_eq!((&name["required"], &name["type"]), (&json!(true), &json!("unicode")));
    assert!(name["table"].is_string());
}

// ---- 4 Writes ----

#[tokio::test]
async fn writes_answer_a_message_and_a_create_its_id() {
    let sim = Sim::start().await;
    let made = sim.call("POST", "/accounts", sim.account_body("Alder")).await;
    assert_eq!((made.status, &made.json()["Message"]), (200, &json!("entity created")));
    let path = format!("/accounts/{}", made.json()["id"]);
    assert_eq!(sim.call("PUT", &path, json!({"city": "Bern"})).await.json(), json!({"Message": "entity updated"}));
    sim.switch(json!({"message_key": "message", "create_status": 201})).await;
    assert_eq!(sim.call("DELETE", &path, Value::Null).await.json(), json!({"message": "entity deleted"}));
    assert_eq!(sim.call("POST", "/accounts", sim.account_body("Birch")).await.status, 201);
}

#[tokio::test]
async fn a_put_changes_only_what_was_sent() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let path = format!("/accounts/{account}");
    sim.put(&path, json!({"city": "Bern", "phone": "1"})).await;
    let before = sim.get(&path).await;
    sim.pass(60).await;
    sim.put(&path, json!({"phone": "2"})).await;
    let mut after = sim.get(&path).await;
    assert_eq!(after["phone"], "2");
    assert_eq!(after["dateUpdated"], "2026-01-05T06:32:19.47Z");
    for name in ["phone", "dateUpdated"] {
        after[name] = before[name].clone();
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn what_clears_a_field_is_a_switch() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let path = format!("/accounts/{account}");
    let (country, full) = (sim.any(Object::Country), json!({"city": "Bern", "latitude": 1.5, "countryId": sim.any(Object::Country)}));
    for (mode, sent, city, status, number, link) in [
        ("null", Value::Null, Value::Null, 200, Value::Null, Value::Null),
        ("null", json!(""), json!(""), 400, json!(1.5), json!(country)),
        ("empty", Value::Null, json!("Bern"), 200, json!(1.5), json!(country)),
        ("empty", json!(""), Value::Null, 200, Value::Null, Value::Null),
        ("both", Value::Null, Value::Null, 200, Value::Null, Value::Null),
        ("both", json!(""), Value::Null, 200, Value::Null, Value::Null),
    ] {
        sim.switch(json!({ "clear_with": mode })).await;
        sim.put(&path, full.clone()).await;
        sim.put(&path, json!({ "city": sent })).await;
        assert_eq!(sim.call("PUT", &path, json!({ "latitude": sent })).await.status, status, "{mode} {sent}");
        assert_eq!(sim.call("PUT", &path, json!({ "countryId": sent })).await.status, status, "{mode} {sent}");
        let shown = sim.get(&path).await;
        let country = if link.is_null() { shown["countryId"].clone() } else { shown["countryId"]["id"].clone() };
        assert_eq!((&shown["city"], &shown["latitude"], &country), (&city, &number, &link), "{mode} {sent}");
    }
}

#[tokio::test]
async fn a_required_text_may_not_be_empty_unless_told() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let mut body = sim.contact_body(account);
    body["firstName"] = json!("");
    assert_eq!(sim.call("POST", "/contacts", body.clone()).await.message(), "firstName is required");
    sim.switch(json!({"empty_required": true})).await;
    let path = format!("/contacts/{}", sim.post("/contacts", body).await);
    assert_eq!(sim.get(&path).await["firstName"], "");
    assert_eq!(sim.call("PUT", &path, json!({"lastName": null})).await.status, 400);
}

#[tokio::test]
async fn a_deletion_is_for_ever_and_leaves_a_marked_row() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let path = format!("/accounts/{account}");
    sim.pass(60).await;
    assert_eq!(sim.call("DELETE", &path, Value::Null).await.status, 200);
    let shown = sim.get(&path).await;
    assert_eq!((&shown["deleted"], &shown["dateDeleted"]), (&json!(true), &json!("2026-01-05T06:32:19.47Z")));
    assert_eq!(shown["dateUpdated"], Value::Null);
    for (method, body) in [("PUT", json!({"city": "Bern"})), ("DELETE", Value::Null)] {
        assert_eq!(sim.call(method, &path, body).await.status, 400, "{method}");
    }
    sim.switch(json!({"deleted_readable": false})).await;
    assert_eq!(sim.call("GET", &path, Value::Null).await.status, 400);
    sim.switch(json!({"deletion_bumps_updated": true})).await;
    let other = sim.account("Birch").await;
    sim.call("DELETE", &format!("/accounts/{other}"), Value::Null).await;
    assert_eq!(sim.find("accounts", &format!("id={other}")).await[0]["dateUpdated"], "2026-01-05T06:32:19.47Z");
}

#[tokio::test]
async fn an_unknown_id_gives_400_or_404() {
    let sim = Sim::start().await;
    let contact = sim.post("/contacts", sim.contact_body(sim.account("Alder").await)).await;
    for id in [5, contact] {
        let path = format!("/accounts/{id}");
        for (method, body) in [("GET", Value::Null), ("PUT", json!({})), ("DELETE", Value::Null)] {
            assert_eq!(sim.call(method, &path, body).await.status, 400, "{method} {path}");
        }
    }
    assert_eq!(sim.call("GET", "/accounts/abc", Value::Null).await.status, 400);
    assert!(sim.find("accounts", "id=5").await.is_empty(), "a list says the same without an error");
    sim.switch(json!({"unknown_id_status": 404})).await;
    assert_eq!(sim.call("GET", "/accounts/5", Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_read_only_record_cannot_be_written_by_the_key() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    sim.control("edit", json!({"op": "update", "object": "account", "id": account, "fields": {"readOnly": true}})).await;
    let path = format!("/accounts/{account}");
    assert_eq!(sim.get(&path).await["readOnly"], true);
    assert_eq!(sim.call("PUT", &path, json!({"city": "Bern"})).await.status, 400);
    assert_eq!(sim.call("DELETE", &path, Value::Null).await.status, 400);
    sim.control("edit", json!({"op": "update", "object": "account", "id": account, "fields": {"city": "Bern"}})).await;
}

#[tokio::test]
async fn what_becomes_of_an_accounts_children_is_a_switch() {
    let sim = Sim::start().await;
    for (mode, status, live) in [("orphan", 200, true), ("refuse", 400, true), ("cascade", 200, false)] {
        sim.switch(json!({ "account_delete": mode })).await;
        let account = sim.account("Alder").await;
        let children = [
            format!("/contacts/{}", sim.post("/contacts", sim.contact_body(account)).await),
            format!("/opportunities/{}", sim.post("/opportunities", sim.opportunity_body(account)).await),
            format!("/activities/{}", sim.post("/activities", sim.activity_body(account)).await),
            format!("/calendar/{}", sim.post("/calendar", sim.calendar_body(account, true)).await),
        ];
        assert_eq!(sim.call("DELETE", &format!("/accounts/{account}"), Value::Null).await.status, status, "{mode}");
        for child in children {
            assert_eq!(sim.get(&child).await["deleted"], !live, "{mode} {child}");
        }
    }
}

// ---- 5 Errors, limits, webhooks ----

#[tokio::test]
async fn errors_have_one_of_two_shapes() {
    let sim = Sim::start().await;
    let plain = sim.call("POST", "/accounts", json!({})).await;
    assert_eq!((plain.status, plain.json()), (400, json!({"message": "name is required"})));
    for (path, code) in
        [("/accounts?order=nothing", 901), ("/nothing", 910), ("/accounts/5/6", 910), ("/hooks", 910), ("/list/accountTypes/5", 910)]
    {
        let got = sim.call("GET", path, Value::Null).await;
        assert_eq!((got.status, got.json()["code"].clone()), (400, json!(code)), "{path}");
        assert!(got.json()["error"].is_string() && got.json()["message"].is_string(), "{path}");
    }
    let down = json!({"on": "GET /api/v4/accounts", "do": {"status": 500, "body": {"error": "No database connection", "code": 900, "message": ""}}});
    sim.control("faults", down).await;
    let got = sim.call("GET", "/accounts", Value::Null).await;
    assert_eq!((got.status, got.json()["code"].clone()), (500, json!(900)));
    assert_eq!(sim.call("GET", "/accounts", Value::Null).await.status, 200);
}

#[tokio::test]
async fn more_calls_than_the_plan_allows_are_refused_until_the_second_is_over() {
    let sim = Sim::with(json!({"rate": {"per_second": 4}})).await;
    // The log-in was the first.
    for _ in 0..3 {
        assert_eq!(sim.call("GET", "/users", Value::Null).await.status, 200);
    }
    let got = sim.call("GET", "/users", Value::Null).await;
    assert_eq!((got.status, got.headers["retry-after"].to_str().unwrap()), (429, "1"));
    sim.pass(1).await;
    assert_eq!(sim.call("GET", "/users", Value::Null).await.status, 200);
    sim.switch(json!({"rate": {"per_second": 0, "status": 503, "retry_after": false}})).await;
    let got = sim.call("GET", "/users", Value::Null).await;
    assert_eq!((got.status, got.headers.get("retry-after")), (503, None));
}

// ---- 6 Extra fields ----

#[tokio::test]
async fn an_extra_field_is_created_and_then_stands_on_records() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let field = json!({"entity": "accounts", "fieldName": "Tier", "type": 1, "labelEN": "Tier of service", "defaultValue": "Basic"});
    let made = sim.call("POST", "/extrafields/accounts", field).await;
    assert_eq!((made.status, &made.json()["Message"]), (200, &json!("entity created")));
    let listed = sim.get("/extrafields/accounts").await;
    assert_eq!(
        (&listed[0]["fieldName"], &listed[0]["type"], &listed[0]["labelEN"]),
        (&json!("Tier"), &json!(1), &json!("Tier of service"))
    );
    assert_eq!(sim.get(&format!("/accounts/{account}")).await["Z_Tier"], Value::Null);
    sim.put(&format!("/accounts/{account}"), json!({"Z_Tier": "Gold"})).await;
    assert_eq!(sim.get(&format!("/accounts/{account}")).await["Z_Tier"], "Gold");
    assert_eq!(ids(&sim.find("accounts", "Z_Tier='Gold'").await), [account]);
    let other = sim.account("Birch").await;
    assert_eq!(sim.get(&format!("/accounts/{other}")).await["Z_Tier"], "Basic");
    let wrong_case = sim.call("PUT", &format!("/accounts/{account}"), json!({"z_tier": "x"})).await;
    assert_eq!(wrong_case.status, 400);
    assert_eq!(sim.get("/extrafields/contacts").await, json!([]));
    assert_eq!(sim.call("POST", "/extrafields", json!({"entity": "contact", "fieldName": "Tier", "type": 1})).await.status, 200);
    assert_eq!(sim.call("POST", "/extrafields/users", json!({"entity": "accounts", "fieldName": "X", "type": 1})).await.status, 400);
    assert_eq!(sim.call("GET", "/extrafields/branches", Value::Null).await.json()["code"], 910);
}

#[tokio::test]
async fn the_form_procedure_tells_the_keys_that_exist() {
    let sim = Sim::of(Options::default()).await;
    let form = sim.call("POST", "/procedure/zapier_schema", json!({"entity": "accounts"})).await.json();
    let of = |key: &str| form.as_array().unwrap().iter().find(|field| field["key"] == key).cloned().unwrap_or_default();
    for (key, kind) in [
        ("Z_Motto", "text"),
        ("Z_FirstVisit", "datetime"),
        ("Z_EmployeesNumber", "decimal"),
        ("Z_Vip", "bool"),
        ("Z_Tier", "unicode"),
        ("name", "unicode"),
        ("salesRepId1", "int"),
    ] {
        assert_eq!(of(key)["type"], kind, "{key}");
    }
    assert_eq!((of("name")["required_via_api"].clone(), of("Z_Tier")["choices"].clone()), (json!(true), json!(["Gold", "Silver"])));
    assert_eq!(sim.call("POST", "/procedure/zapier_schema", json!({"entity": "nothing"})).await.status, 400);
}

#[tokio::test]
async fn a_header_asks_for_the_labels_of_lists() {
    let sim = Sim::of(Options::default()).await;
    let account = sim.any(Object::Account);
    let path = format!("/accounts/{account}");
    sim.put(&path, json!({"Z_Interests": ["CAD", "PLM"], "Z_Tier": "Silver"})).await;
    let values = sim.get_with(&path, &[("ExtraFieldDescription", "0")]).await;
    assert_eq!((&values["Z_Tier"], &values["Z_Interests"]), (&json!("Silver"), &json!(["CAD", "PLM"])));
    let labels = sim.get_with(&path, &[("ExtraFieldDescription", "1")]).await;
    assert_eq!(labels["Z_Tier"], json!({"id": 2, "value": "Silver"}));
    assert_eq!(labels["Z_Interests"][1], json!({"id": 3, "value": "PLM"}));
    assert_eq!(sim.call("PUT", &path, json!({"Z_Tier": "Bronze"})).await.status, 400);
}
