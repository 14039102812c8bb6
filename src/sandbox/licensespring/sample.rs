//! Three sample products, the same that the sample rules know: what a seller of a small CAD suite might have.

use serde_json::json;

use super::reply::Refusal;
use super::world::World;

/// `orbit-basic` (perpetual), `orbit-pro` and `orbit-team` (one year), with features and policies.
///
/// # Errors
/// When the world has products of these codes already.
pub fn seed_products(world: &mut World) -> Result<(), Refusal> {
    world.add_product(
        "orbit-basic",
        "Orbit Basic",
        &json!([
            {"code": "export_pdf", "name": "PDF export", "feature_type": "activation"},
            {"code": "offline_mode", "name": "Offline mode", "feature_type": "activation"}
        ]),
        &json!([
            {"code": "orbit-basic-perpetual", "name": "Orbit Basic, perpetual", "license_type": "perpetual",
             "max_activations": 1, "features": ["export_pdf"]}
        ]),
    )?;
    world.add_product(
        "orbit-pro",
        "Orbit Pro",
        &json!([
            {"code": "export_pdf", "name": "PDF export", "feature_type": "activation"},
            {"code": "api_access", "name": "API access", "feature_type": "activation"},
            {"code": "render_min", "name": "Render minutes", "feature_type": "consumption", "max_consumption": 100}
        ]),
        &json!([
            {"code": "orbit-pro-1y", "name": "Orbit Pro, one year", "license_type": "time-limited", "valid_duration": "1y",
             "max_activations": 2, "features": ["export_pdf", {"code": "render_min", "max_consumption": 500}]},
            {"code": "orbit-pro-perpetual", "name": "Orbit Pro, perpetual", "license_type": "perpetual",
             "max_activations": 2, "features": ["export_pdf", "render_min"]}
        ]),
    )?;
    world.add_product(
        "orbit-team",
        "Orbit Team",
        &json!([
            {"code": "export_pdf", "name": "PDF export", "feature_type": "activation"},
            {"code": "api_access", "name": "API access", "feature_type": "activation"},
            {"code": "render_min", "name": "Render minutes", "feature_type": "consumption", "max_consumption": 1000},
            {"code": "sso", "name": "Single sign-on", "feature_type": "activation"}
        ]),
        &json!([
            {"code": "orbit-team-1y", "name": "Orbit Team, one year", "license_type": "time-limited", "valid_duration": "1y",
             "max_activations": 5, "is_floating_cloud": true, "floating_users": 5,
             "features": ["export_pdf", "api_access", {"code": "render_min", "max_consumption": 2000}]}
        ]),
    )?;
    Ok(())
}
