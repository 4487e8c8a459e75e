//! The documents of an image: its configuration, its manifest, and the index of several images.

use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};

use super::{
    blob::{Blob, sha256},
    contents::Contents,
};

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The type of layer that Istio's agent reads from an OCI manifest (`pkg/wasm/imagefetcher.go`).
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Neither root nor a user of the node: the number that distroless images and Kubernetes' examples use.
const USER: &str = "65532:65532";

/// Blobs, the last of which leads to the others.
pub(super) struct Blobs {
    pub all: Vec<Blob>,
    /// What names the last one.
    pub descriptor: Value,
}

/// An image of one layer with one file.
pub(super) fn image(contents: &Contents) -> io::Result<Blobs> {
    let archive = contents.archive()?;
    let layer = Blob::new(compress(&archive)?);
    let config = Blob::json(&config(contents, &sha256(&archive)));
    let manifest = Blob::json(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(CONFIG),
        "layers": [layer.descriptor(LAYER)],
    }));
    let descriptor = manifest.descriptor(MANIFEST);
    Ok(Blobs {
        all: vec![layer, config, manifest],
        descriptor,
    })
}

/// An index of images for several architectures.
pub(super) fn index(contents: &[Contents]) -> io::Result<Blobs> {
    let mut all = Vec::new();
    let mut manifests = Vec::new();
    for contents in contents {
        let image = image(contents)?;
        let mut descriptor = image.descriptor;
        if let Some(fields) = descriptor.as_object_mut() {
            let platform = json!({ "architecture": contents.architecture, "os": "linux" });
            fields.insert("platform".to_owned(), platform);
        }
        all.extend(image.all);
        manifests.push(descriptor);
    }
    let index = Blob::json(&index_of(&manifests));
    let descriptor = index.descriptor(INDEX);
    all.push(index);
    Ok(Blobs { all, descriptor })
}

/// An index with these entries.
pub(super) fn index_of(manifests: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}

fn config(contents: &Contents, diff_id: &str) -> Value {
    let mut run = json!({
        "Labels": {
            "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
            "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
        },
    });
    if let (true, Some(run)) = (contents.runs, run.as_object_mut()) {
        run.insert("User".to_owned(), json!(USER));
        // Pods can also name the program without its directory.
        run.insert("Env".to_owned(), json!(["PATH=/"]));
        run.insert("Entrypoint".to_owned(), json!([format!("/{}", contents.path)]));
    }
    json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": contents.architecture,
        "os": "linux",
        "config": run,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "mooring image" }],
    })
}

/// The header holds neither a time nor a file name, and the system is "unknown": nothing of the machine is in it.
fn compress(archive: &[u8]) -> io::Result<Vec<u8>> {
    let encoder = GzBuilder::new().mtime(0).operating_system(255);
    let mut encoder = encoder.write(Vec::new(), Compression::best());
    encoder.write_all(archive)?;
    encoder.finish()
}
