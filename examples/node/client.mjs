// With kafkajs: an order is paid in, confirmed, and paid out. Usage: node client.mjs ORDER
import kafkajs from "kafkajs";
import lz4 from "lz4js";

// The broker keeps its topics compressed with lz4, which kafkajs reads only with a codec.
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

const order = process.argv[2];
const kafka = new kafkajs.Kafka({
  brokers: (process.env.ESCROW_KAFKA__BOOTSTRAP_SERVERS ?? "127.0.0.1:9092").split(","),
  logLevel: kafkajs.logLevel.ERROR,
});
const producer = kafka.producer({
  createPartitioner: kafkajs.Partitioners.DefaultPartitioner, // murmur2, as Java's client
  idempotent: true,
});
const consumer = kafka.consumer({ groupId: `kafkajs-${order}` });

// A fact in binary mode. Sent again under the same source and id, it is a duplicate.
async function send(topic, type, id, data) {
  const headers = {
    "content-type": "application/json",
    ce_specversion: "1.0",
    ce_source: "/examples/kafkajs",
    ce_id: id,
    ce_type: type,
  };
  await producer.send({ topic, messages: [{ key: data.order_id, value: JSON.stringify(data), headers }] });
}

await producer.connect();
await send("escrow.payments.v1", "payment.captured", `${order}.captured`, {
  order_id: order,
  payment_id: `pay-${order}`,
  buyer_id: "anna",
  supplier_id: "acme",
  amount_minor: 4200,
  currency: "EUR",
  method: "visa",
  paid_through: "escrow",
  agreement_accepted: true,
});
await send("escrow.refund-requests.v1", "delivery.confirmed", `${order}.confirmed`, {
  order_id: order,
  buyer_id: "anna",
});

await consumer.connect();
await consumer.subscribe({ topics: ["escrow.payout-commands.v1"], fromBeginning: true });
const paidOut = new Promise((done) =>
  consumer.run({
    eachMessage: async ({ message }) => {
      if (message.key?.toString() !== order || message.headers.ce_type.toString() !== "payout.release") return;
      const command = JSON.parse(message.value.toString());
      // A real gateway moves the money here, once for each command_id, and remembers that it has.
      const { order_id, command_id, amount_minor, currency } = command;
      await send("escrow.gateway-results.v1", "gateway.settled", `${command_id}.${command.attempt}.settled`, {
        order_id,
        command_id,
        amount_minor,
        currency,
      });
      done(command);
    },
  }),
);
const late = setTimeout(() => {
  console.error("no command came");
  process.exit(1);
}, 60_000);
const command = await paidOut;
clearTimeout(late);
console.log("paid out", command.amount_minor, command.currency, "to", command.party_id);
await consumer.disconnect();
await producer.disconnect();
