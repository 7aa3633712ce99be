// A replica of gRPC's test service on @grpc/grpc-js, without a health service. The argument names the descriptor set; a
// second one asks for TLS.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const services = loader.loadFileDescriptorSetFromBuffer(fs.readFileSync(process.argv[2]), { keepCase: true });
const ECHOED_AT_FIRST = "x-grpc-test-echo-initial";
const ECHOED_AT_LAST = "x-grpc-test-echo-trailing-bin";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const payload = (size) => ({ payload: { body: Buffer.alloc(size || 0) } });

// Sends back what was asked for, and returns the trailers.
function echo(call) {
  const first = call.metadata.get(ECHOED_AT_FIRST);
  if (first.length) {
    const metadata = new grpc.Metadata();
    metadata.add(ECHOED_AT_FIRST, first[0]);
    call.sendMetadata(metadata);
  }
  const trailers = new grpc.Metadata();
  for (const value of call.metadata.get(ECHOED_AT_LAST)) trailers.add(ECHOED_AT_LAST, value);
  return trailers;
}

function errorIn(request) {
  const status = request.response_status;
  return status && status.code ? { code: status.code, details: status.message } : null;
}

async function stream(call, request) {
  for (const parameters of request.response_parameters || []) {
    if (parameters.interval_us) await sleep(parameters.interval_us / 1000);
    call.write(payload(parameters.size));
  }
}

const service = {
  EmptyCall: (call, answer) => answer(null, {}, echo(call)),
  UnaryCall: (call, answer) => answer(errorIn(call.request), payload(call.request.response_size), echo(call)),
  StreamingInputCall: (call, answer) => {
    let size = 0;
    call.on("data", (request) => (size += request.payload.body.length));
    call.on("end", () => answer(null, { aggregated_payload_size: size }, echo(call)));
  },
  StreamingOutputCall: async (call) => {
    const trailers = echo(call);
    await stream(call, call.request);
    call.end(trailers);
  },
  FullDuplexCall: (call) => {
    const trailers = echo(call);
    let answered = Promise.resolve();
    call.on("data", (request) => {
      const error = errorIn(request);
      if (error) call.emit("error", error);
      else answered = answered.then(() => stream(call, request));
    });
    call.on("end", () => answered.then(() => call.end(trailers)));
  },
};

const pem = (name) => fs.readFileSync(path.join(path.dirname(process.argv[2]), name));

// Whoever comes over TLS has to show a certificate.
function credentials() {
  if (process.argv.length < 4) return grpc.ServerCredentials.createInsecure();
  const own = { private_key: pem("replica.key"), cert_chain: pem("replica.pem") };
  return grpc.ServerCredentials.createSsl(pem("ca.pem"), [own], true);
}

const server = new grpc.Server();
server.addService(services["grpc.testing.TestService"], service);
server.bindAsync("127.0.0.1:0", credentials(), (error, port) => {
  if (error) throw error;
  console.log(`listening on 127.0.0.1:${port}`);
});
