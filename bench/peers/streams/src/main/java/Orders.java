import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams, exactly once: an order is a row of a store with a changelog; no SQL, no ledger, no dedupe.
 * Until it is stopped. Argument: milliseconds between two commits.
 */
public final class Orders implements Processor<String, byte[], String, byte[]> {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String STORE = "orders";
  private static final String[] FACTS = {
    "escrow.payments.v1", "escrow.shipments.v1", "escrow.refund-requests.v1"
  };

  private ProcessorContext<String, byte[]> context;
  private KeyValueStore<String, byte[]> orders;

  @Override
  public void init(ProcessorContext<String, byte[]> context) {
    this.context = context;
    orders = context.getStateStore(STORE);
  }

  /** Take one fact into the order's row; send the command once both are known. */
  @Override
  public void process(Record<String, byte[]> fact) {
    try {
      byte[] before = orders.get(fact.key());
      ObjectNode order = before == null ? JSON.createObjectNode() : (ObjectNode) JSON.readTree(before);
      JsonNode said = JSON.readTree(fact.value());
      for (String name : List.of("amount_minor", "shipment_id", "buyer_id")) {
        // A capture names the buyer, too: what confirms has no amount.
        if (said.has(name) && !(name.equals("buyer_id") && said.has("amount_minor"))) {
          order.set(name, said.get(name));
        }
      }
      if (order.has("amount_minor") && order.has("buyer_id") && !order.has("released")) {
        order.put("released", true);
        ObjectNode command = JSON.createObjectNode().put("order_id", fact.key());
        command.set("amount_minor", order.get("amount_minor"));
        context.forward(fact.withValue(JSON.writeValueAsBytes(command)).withHeaders(null));
      }
      orders.put(fact.key(), JSON.writeValueAsBytes(order));
    } catch (java.io.IOException error) {
      throw new java.io.UncheckedIOException(error);
    }
  }

  public static void main(String[] arguments) throws Exception {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-streams");
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("ESCROW_KAFKA__BOOTSTRAP_SERVERS"));
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[0]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("bench-streams").toString());
    settings.put("auto.offset.reset", "earliest");

    var text = Serdes.String();
    var bytes = Serdes.ByteArray();
    Topology topology =
        new Topology()
            .addSource("facts", text.deserializer(), bytes.deserializer(), FACTS)
            .addProcessor("merge", Orders::new, "facts")
            .addStateStore(
                Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), text, bytes)
                    .withCachingEnabled(),
                "merge")
            .addSink("commands", "escrow.payout-commands.v1", text.serializer(), bytes.serializer(), "merge");
    KafkaStreams streams = new KafkaStreams(topology, settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}
