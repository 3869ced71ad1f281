// Any word of the official parser about the document, even a hint, is a failure.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
for (const found of diagnostics) console.log(found.severity, found.path.join("."), found.message);
if (!document || diagnostics.length > 0) process.exit(1);
console.log(
  `AsyncAPI ${document.version()}: ${document.channels().length} channels, ${document.messages().length} messages, no remarks`,
);
