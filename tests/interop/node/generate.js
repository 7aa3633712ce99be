// An agent that knows gRPC and the .proto file, and nothing else of this project.
//
// node generate.js HOST:PORT PROMPT
"use strict";

const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [address, prompt] = process.argv.slice(2);
const root = path.join(__dirname, "..", "..", "..", "proto");
const { inference } = grpc.loadPackageDefinition(
  loader.loadSync("inference/v1/inference.proto", { includeDirs: [root], keepCase: true }),
);

const stub = new inference.v1.Inference(address, grpc.credentials.createInsecure());
const request = { text: prompt, sampling: { max_tokens: 100, ignore_eos: true } };
const stream = stub.Generate(request, { deadline: Date.now() + 30_000 });
stream.on("data", (response) => process.stdout.write(response.text));
stream.on("end", () => stub.close());
