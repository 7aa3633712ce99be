// An agent on @grpc/grpc-js. python/calls.py says what comes on stdin and what goes to stdout.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const COMPRESSIONS = {
  "": grpc.compressionAlgorithms.identity,
  deflate: grpc.compressionAlgorithms.deflate,
  gzip: grpc.compressionAlgorithms.gzip,
};
// As protobuf's JSON has them, so that the test can read them as such.
const FORM = { keepCase: true, longs: String, enums: String, bytes: String };

const services = loader.loadFileDescriptorSetFromBuffer(fs.readFileSync(process.argv[2]), FORM);
const clients = new Map();
const HTTPS = "https://";
const pem = (name) => fs.readFileSync(path.join(path.dirname(process.argv[2]), name));

function clientFor(address, compression) {
  const key = `${address} ${compression}`;
  if (!clients.has(key)) clients.set(key, connect(address, compression));
  return clients.get(key);
}

function connect(address, compression, more = {}) {
  const options = { "grpc.default_compression_algorithm": COMPRESSIONS[compression], ...more };
  return new grpc.Client(address.replace(HTTPS, ""), credentials(address), options);
}

function credentials(address) {
  if (!address.startsWith(HTTPS)) return grpc.credentials.createInsecure();
  return grpc.credentials.createSsl(pem("ca.pem"), pem("agent.key"), pem("agent.pem"));
}

function begin(client, call, method, onEnd) {
  const options = call.timeout_s === null ? {} : { deadline: Date.now() + 1000 * call.timeout_s };
  const known = [method.path, method.requestSerialize, method.responseDeserialize];
  const metadata = toMetadata(call.metadata);
  if (method.requestStream) {
    return method.responseStream
      ? client.makeBidiStreamRequest(...known, metadata, options)
      : client.makeClientStreamRequest(...known, metadata, options, onEnd);
  }
  return method.responseStream
    ? client.makeServerStreamRequest(...known, call.requests[0], metadata, options)
    : client.makeUnaryRequest(...known, call.requests[0], metadata, options, onEnd);
}

async function answer(call) {
  if (!call.is_alone) return make(clientFor(call.address, call.compression), call);
  // Else clients of one process share their connections.
  const client = connect(call.address, call.compression, { "grpc.use_local_subchannel_pool": 1 });
  const result = await make(client, call);
  client.close();
  return result;
}

function make(client, call) {
  const [service, name] = call.method.split("/");
  const method = services[service][name];
  const result = { code: 0, message: "", metadata: [], trailers: [], responses: [] };
  return new Promise((resolve) => {
    const rpc = begin(client, call, method, (error, response) => {
      if (!error) result.responses.push(response);
    });
    const inTurn = method.requestStream && method.responseStream && call.requests.length > 1;
    const waiting = method.requestStream ? [...call.requests] : [];
    const writeNext = () => (waiting.length ? rpc.write(waiting.shift()) : rpc.end());

    rpc.on("metadata", (metadata) => (result.metadata = fromMetadata(metadata)));
    rpc.on("status", (status) => {
      result.code = status.code;
      result.message = status.details;
      result.trailers = fromMetadata(status.metadata);
      // The response of a unary call is handed over after its status.
      setImmediate(resolve, result);
    });
    if (method.responseStream) {
      rpc.on("error", () => {}); // The status says the same.
      rpc.on("data", (response) => {
        result.responses.push(response);
        if (result.responses.length === call.cancel_after) rpc.cancel();
        else if (inTurn) writeNext();
      });
    }
    // Not in this turn of the loop: grpc-js 1.14.7 would then begin the stream on a warm connection and never end it.
    if (call.cancel_after === 0) setTimeout(() => rpc.cancel());
    else if (inTurn) writeNext();
    else if (method.requestStream) while (!rpc.writableEnded) writeNext();
  });
}

function toMetadata(pairs) {
  const metadata = new grpc.Metadata();
  for (const [name, value] of pairs) {
    metadata.add(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return metadata;
}

function fromMetadata(metadata) {
  const pairs = [];
  for (const name of Object.keys(metadata.getMap())) {
    for (const value of metadata.get(name)) {
      pairs.push([name, Buffer.isBuffer(value) ? value.toString("base64") : value]);
    }
  }
  return pairs;
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await Promise.all(JSON.parse(line).map(answer))));
  }
  clients.forEach((client) => client.close());
}

main();
