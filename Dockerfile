# The command line in an image without a shell, which runs as a user without rights:
#
#     scripts/release.py image
#     docker build --file Dockerfile target/dist/image
#
# This base holds glibc and no package manager. Root certificates are compiled into the program.
ARG BASE=gcr.io/distroless/base-nossl-debian12:nonroot
# hadolint ignore=DL3006
FROM ${BASE}
# The builder sets it to amd64 or arm64.
ARG TARGETARCH
COPY ${TARGETARCH}/doorman /usr/local/bin/doorman
# A number, because Kubernetes cannot tell whether a user with a name is root.
USER 65532:65532
# No ENTRYPOINT, because some services would put it before the command and others would replace it.
CMD ["doorman", "--help"]
