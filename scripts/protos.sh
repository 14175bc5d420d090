#!/bin/sh
# Generates src/store/generated/ from scripts/protos/ (etcd's own, trimmed to what we use) with protoc-gen-es.
# Needs protoc: Debian's protobuf-compiler, or $PROTOC. Run it after changing a .proto or the version of protoc-gen-es.
# JavaScript with declarations, not TypeScript: generated TypeScript has enums, which tsconfig's erasableSyntaxOnly refuses.
set -eu
cd "$(dirname "$0")/.."
"${PROTOC:-protoc}" --proto_path=scripts/protos --plugin=protoc-gen-es=node_modules/.bin/protoc-gen-es \
  --es_out=src/store/generated --es_opt=target=js+dts,import_extension=js kv.proto rpc.proto
