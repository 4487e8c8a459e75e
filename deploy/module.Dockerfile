# The module as an image, for those who build images with Docker or Buildah. `mooring image` needs neither.
#
#   docker build --provenance=false --file deploy/module.Dockerfile --tag registry.example/mooring:0.1.0 target/
#
# Without --provenance=false, BuildKit pushes an index, whose digest is not the one for --wasm-sha256: see docs/install.md.
FROM scratch
COPY mooring.wasm /plugin.wasm
