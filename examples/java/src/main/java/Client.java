import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** With Apache Kafka's own client: an order is paid in, confirmed, and paid out. Argument: ORDER. */
public final class Client {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String SERVERS =
      System.getenv().getOrDefault("ESCROW_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092");

  private Client() {}

  public static void main(String[] arguments) throws Exception {
    String order = arguments[0];
    Map<String, Object> writes = Map.of("bootstrap.servers", SERVERS, "acks", "all");
    Map<String, Object> reads =
        Map.of(
            "bootstrap.servers", SERVERS,
            "group.id", "java-" + order,
            "auto.offset.reset", "earliest",
            "enable.auto.commit", "false",
            "isolation.level", "read_committed");
    StringSerializer to = new StringSerializer();
    StringDeserializer from = new StringDeserializer();
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(writes, to, to);
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(reads, from, from)) {
      send(producer, "escrow.payments.v1", "payment.captured", order + ".captured", captured(order));
      ObjectNode confirmed = JSON.createObjectNode().put("order_id", order).put("buyer_id", "anna");
      send(producer, "escrow.refund-requests.v1", "delivery.confirmed", order + ".confirmed", confirmed);

      JsonNode command = await(consumer, order);
      // A real gateway moves the money here, once for each command_id, and remembers that it has.
      ObjectNode result = JSON.createObjectNode();
      for (String name : List.of("order_id", "command_id", "amount_minor", "currency")) {
        result.set(name, command.get(name));
      }
      String id = command.get("command_id").asText() + "." + command.get("attempt") + ".settled";
      send(producer, "escrow.gateway-results.v1", "gateway.settled", id, result);
      consumer.commitSync();
      System.out.printf(
          "paid out %s %s to %s%n",
          command.get("amount_minor"), command.get("currency").asText(), command.get("party_id").asText());
    }
  }

  private static ObjectNode captured(String order) {
    return JSON.createObjectNode()
        .put("order_id", order)
        .put("payment_id", "pay-" + order)
        .put("buyer_id", "anna")
        .put("supplier_id", "acme")
        .put("amount_minor", 4200)
        .put("currency", "EUR")
        .put("method", "visa")
        .put("paid_through", "escrow")
        .put("agreement_accepted", true);
  }

  /** A fact in binary mode. Sent again under the same source and id, it is a duplicate. */
  private static void send(
      KafkaProducer<String, String> producer, String topic, String type, String id, JsonNode data)
      throws Exception {
    var record = new ProducerRecord<>(topic, data.get("order_id").asText(), data.toString());
    Map.of(
            "content-type", "application/json",
            "ce_specversion", "1.0",
            "ce_source", "/examples/java",
            "ce_id", id,
            "ce_type", type)
        .forEach((name, value) -> record.headers().add(name, value.getBytes()));
    producer.send(record).get();
  }

  private static JsonNode await(KafkaConsumer<String, String> consumer, String order)
      throws Exception {
    consumer.subscribe(List.of("escrow.payout-commands.v1"));
    Instant deadline = Instant.now().plusSeconds(60);
    while (Instant.now().isBefore(deadline)) {
      for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
        String type = new String(record.headers().lastHeader("ce_type").value());
        if (order.equals(record.key()) && type.equals("payout.release")) {
          return JSON.readTree(record.value());
        }
      }
    }
    throw new IllegalStateException("no command came");
  }
}
