//! Logging in, sessions and who one is.

use base64::Engine as _;

use super::*;

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
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
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
    let key: PublicKeyX509Der = signature::KeyPair::public_key(&pair).as_der().unwrap();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::engine::general_purpose::STANDARD.encode(key.as_ref())
    );
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
