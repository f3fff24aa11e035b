//! The steps `bucket` and `code`: the zip of the function in a private bucket.
//!
//! The name of the bucket can be guessed, so somebody else may own it. Each call names the account that has to own it. If another one
//! does, AWS refuses the call.

use std::error::Error;
use std::ffi::OsStr;

use serde_json::{Value, json};

use crate::aws::AwsFailure;
use crate::deploy::deployment::{Place, Zip};

/// The codes for "there is none". The response to a HEAD request has no body, so its code is the status.
pub const ABSENT: &[&str] = &["404", "NoSuchBucket", "NoSuchKey"];

/// The region whose buckets have no location.
const REGION_WITHOUT_LOCATION: &str = "us-east-1";

/// Calls an operation on the bucket, which must belong to the account.
pub fn call(place: &Place, operation: &str, more: &Value) -> Result<Value, AwsFailure> {
    place.aws.call("s3api", operation, &input(place, more))
}

fn input(place: &Place, more: &Value) -> Value {
    let mut input = json!({"Bucket": place.bucket(), "ExpectedBucketOwner": place.account.id});
    if let (Value::Object(input), Value::Object(more)) = (&mut input, more) {
        input.extend(more.clone());
    }
    input
}

/// Whether the bucket is there. It is an error if somebody else owns it.
pub fn bucket_exists(place: &Place) -> Result<bool, Box<dyn Error>> {
    match call(place, "head-bucket", &json!({})) {
        Ok(_) => Ok(true),
        Err(failure) if failure.is(ABSENT) => Ok(false),
        Err(failure) if failure.is(&["403", "AccessDenied"]) => Err(format!(
            "the bucket {} belongs to another account, or these credentials may not read it; if it is the former, choose another `name` in \
             the settings",
            place.bucket()
        )
        .into()),
        Err(failure) => Err(failure.into()),
    }
}

pub fn make_bucket(place: &Place) -> Result<String, Box<dyn Error>> {
    let exists = bucket_exists(place)?;
    if !exists {
        let region = &place.settings.region;
        let mut input = json!({"Bucket": place.bucket()});
        if region != REGION_WITHOUT_LOCATION {
            input["CreateBucketConfiguration"] = json!({"LocationConstraint": region});
        }
        place.aws.call("s3api", "create-bucket", &input)?;
    }
    let block = json!({"PublicAccessBlockConfiguration": {
        "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true,
    }});
    call(place, "put-public-access-block", &block)?;
    call(place, "put-bucket-tagging", &json!({"Tagging": {"TagSet": place.tags()}}))?;
    Ok(if exists { "unchanged" } else { "created" }.to_owned())
}

/// Whether the bucket has this zip.
pub fn is_uploaded(place: &Place, zip: &Zip) -> Result<bool, AwsFailure> {
    match call(place, "head-object", &json!({"Key": zip.key})) {
        Ok(_) => Ok(true),
        Err(failure) if failure.is(ABSENT) => Ok(false),
        Err(failure) => Err(failure),
    }
}

pub fn upload(place: &Place, zip: &Zip) -> Result<String, AwsFailure> {
    if is_uploaded(place, zip)? {
        return Ok("unchanged".to_owned());
    }
    let body = [OsStr::new("--body"), zip.path.as_os_str()];
    place.aws.call_with("s3api", "put-object", &input(place, &json!({"Key": zip.key})), None, &body)?;
    Ok("uploaded".to_owned())
}
