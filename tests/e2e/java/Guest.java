import com.google.rpc.ErrorInfo;
import hmar.v1.ImageGeneration.GenerateRequest;
import hmar.v1.ImageGeneration.GenerateResponse;
import hmar.v1.ImageGenerationServiceGrpc;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.concurrent.TimeUnit;

/**
 * Java's gRPC as a client: Guest HOST:PORT CA-FILE KEY REQUEST-FILE EVENTS-FILE. The request is one serialized
 * GenerateRequest; the stream's events are written delimited. The last line says how the call ended: CODE REASON.
 */
public final class Guest {
  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel =
        NettyChannelBuilder.forTarget(arguments[0])
            .sslContext(GrpcSslContexts.forClient().trustManager(new File(arguments[1])).build())
            .maxInboundMessageSize(64 << 20)
            .build();
    GenerateRequest request = GenerateRequest.parseFrom(Files.readAllBytes(Path.of(arguments[3])));
    try (OutputStream events = Files.newOutputStream(Path.of(arguments[4]))) {
      Iterator<GenerateResponse> stream =
          ImageGenerationServiceGrpc.newBlockingStub(with(arguments[2], channel))
              .withDeadlineAfter(120, TimeUnit.SECONDS)
              .generate(request);
      while (stream.hasNext()) {
        stream.next().writeDelimitedTo(events);
      }
      System.out.println("OK ");
    } catch (StatusRuntimeException error) {
      ErrorInfo info = errorInfoOf(error);
      System.out.println(error.getStatus().getCode() + " " + (info == null ? "" : info.getReason()));
    } finally {
      channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
    }
  }

  private static Channel with(String key, Channel channel) {
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + key);
    return ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  private static ErrorInfo errorInfoOf(StatusRuntimeException error) throws Exception {
    Metadata.Key<com.google.rpc.Status> details =
        Metadata.Key.of(
            "grpc-status-details-bin",
            ProtoUtils.metadataMarshaller(com.google.rpc.Status.getDefaultInstance()));
    com.google.rpc.Status status = error.getTrailers().get(details);
    for (int i = 0; status != null && i < status.getDetailsCount(); ++i) {
      if (status.getDetails(i).is(ErrorInfo.class)) {
        return status.getDetails(i).unpack(ErrorInfo.class);
      }
    }
    return null;
  }
}
