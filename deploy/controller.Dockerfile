# The controller as an image: a statically linked program and no other file.
#
#   docker build --file deploy/controller.Dockerfile --tag registry.example/mooring-controller:0.1.0 target/x86_64-unknown-linux-musl/release/
#
# `make dist` also writes this image, for both architectures, without Docker.
FROM scratch
COPY --chmod=755 mooring-controller /mooring-controller
ENV PATH=/
USER 65532:65532
ENTRYPOINT ["/mooring-controller"]
