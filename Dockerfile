# Filature, one static program, in an image of a few megabytes.
#
#   docker run -v silk:/data -p 127.0.0.1:8420:8420 filature       embedded mode: everything in the volume. It takes
#                                                                   reports; who asks the books needs a key (serve --keys)
#   docker compose up --build                                      roles on Kafka, PostgreSQL and a chain
#
# No image was built from this where it was written: there was no Docker daemon. The go build line was run as it
# stands, and the program that it makes serves; cmd/filature/deploy_test.go says what else was checked.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Static: SQLite is pure Go here, and nothing else wants C.
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/filature ./cmd/filature
RUN mkdir -p /out/data /out/chain /out/keys /out/attestation /out/trees /out/audit

# busybox for the health check's wget; the program itself needs nothing.
FROM busybox:stable-musl
COPY --from=build /out/filature /usr/local/bin/filature
# A new volume takes its owner from here: a folder in embedded mode, the local chain's, and the keys'.
COPY --from=build --chown=10001:10001 /out/data /data
COPY --from=build --chown=10001:10001 /out/chain /chain
COPY --from=build --chown=10001:10001 --chmod=700 /out/keys /keys
COPY --from=build --chown=10001:10001 /out/attestation /attestation
COPY --from=build --chown=10001:10001 /out/trees /trees
COPY --from=build --chown=10001:10001 /out/audit /audit
USER 10001:10001
EXPOSE 8420
# Alive, not ready: a process that waits for a server must not be restarted for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8420/healthz"]
# On SIGTERM it answers the requests under way, then stops its workers.
ENTRYPOINT ["filature"]
CMD ["serve", "--data", "/data", "--listen", "0.0.0.0:8420"]
