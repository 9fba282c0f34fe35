# One image for every role: `penstock gateway`, `penstock actor`, `penstock worker`, `penstock doctor`.
FROM python:3.13-slim AS build
WORKDIR /src
RUN pip install --no-cache-dir build
COPY pyproject.toml README.md LICENSE ./
COPY domain domain
COPY bus bus
COPY backends backends
COPY actors actors
COPY gateway gateway
COPY ops ops
RUN python -m build --wheel --outdir /dist

FROM python:3.13-slim
COPY --from=build /dist /dist
RUN pip install --no-cache-dir "$(echo /dist/penstock-*.whl)[uvloop]" && rm -rf /dist
COPY configs/cluster.toml /etc/penstock/penstock.toml
ENV PENSTOCK_CONFIG=/etc/penstock/penstock.toml
# Folders belong to the user their containers run as; give the container that user, or root on a trusted network.
VOLUME /volumes/data
EXPOSE 6021 6022 16023 16024 16025 16026
ENTRYPOINT ["penstock"]
CMD ["gateway"]
