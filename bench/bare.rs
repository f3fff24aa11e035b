//! The smallest Lambda function in Rust, for comparison.

use lambda_http::{Body, Error, Request, Response, run, service_fn};

async fn respond(_: Request) -> Result<Response<Body>, Error> {
    Ok(Response::new("{}".into()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(respond)).await
}
