# The executable is built with the Deno that runs the tests.
FROM denoland/deno:debian-2.9.6 AS build
WORKDIR /src
COPY deno.json deno.lock main.ts ./
COPY lib lib
RUN deno task compile
# The runtime image has no shell that could make it.
RUN mkdir /data

# A compiled executable needs glibc, as any base but "static" has, and libgcc_s,
# which comes with "cc". This one has neither a shell nor a package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/dist/whatsapp-inbox /usr/local/bin/
# A new volume takes over the owner of the folder it is mounted on.
COPY --from=build --chown=65532:65532 /data /data
# "nonroot" as a number, so that Kubernetes' runAsNonRoot can tell it from root.
USER 65532:65532
# SQLite's temporary files go to the working directory if no other is writable.
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s \
  CMD ["/usr/local/bin/whatsapp-inbox", "healthcheck"]
# Process 1 gets the signals itself: SIGTERM, as Docker sends it, stops it cleanly.
ENTRYPOINT ["/usr/local/bin/whatsapp-inbox"]
