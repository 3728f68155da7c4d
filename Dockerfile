# Filature in embedded mode: logs, tables, keys and a local TON chain, all in the volume /data.
#
# No image was built from this where it was written: there was no Docker daemon. The go build line was run as it
# stands, and the program that it makes serves; see docker-compose.yml for the rest that was checked.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Static: SQLite is pure Go here, and nothing else wants C.
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/filature ./cmd/filature
RUN mkdir /out/data

# busybox for the health check's wget; the program itself needs nothing.
FROM busybox:stable-musl
COPY --from=build /out/filature /usr/local/bin/filature
# A new volume takes its owner from here.
COPY --from=build --chown=10001:10001 /out/data /data
USER 10001:10001
VOLUME /data
EXPOSE 8420
# Alive, not ready: a network that is still being set up must not be restarted for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8420/healthz"]
# On SIGTERM it answers the requests under way, then stops its workers.
ENTRYPOINT ["filature"]
CMD ["serve", "--data", "/data", "--listen", "0.0.0.0:8420"]
