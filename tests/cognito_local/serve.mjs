// cognito-local on a free port, until standard input ends. Its files go into the folder that is named.
import { createRequire } from "node:module";

process.env.PORT = "0";
process.env.HOST = "127.0.0.1";
process.chdir(process.argv[2]);
process.stdin.resume().on("end", () => process.exit());

const require = createRequire(import.meta.url);
const { createDefaultServer } = require("cognito-local");
const logger = require("pino")({ level: "silent" });
const server = await (await createDefaultServer(logger)).start();
console.log(`http://127.0.0.1:${server.address().port}`);
