//! The report that the function cannot start.

use serde_json::json;

use crate::http;

/// Reports to Lambda why the function cannot start, so that each invocation fails with the reason. The runtime crate reports
/// only its own errors. `api` is the host and port of Lambda's Runtime API. Fails if the API does not respond.
pub async fn report_init_error(api: &str, message: &str) -> Result<(), reqwest::Error> {
    let body = json!({"errorType": "Configuration", "errorMessage": message, "stackTrace": []});
    let client = http::client_builder().no_proxy().build()?;
    let url = format!("http://{api}/2018-06-01/runtime/init/error");
    client.post(url).body(body.to_string()).send().await.map(drop)
}
