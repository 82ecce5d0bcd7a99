package io.github.managedagents.support;

import com.google.protobuf.Message;
import io.github.managedagents.v1.ManagedAgentRuntimeGrpc;
import io.github.managedagents.v1.StreamEventsRequest;
import io.github.managedagents.v1.StreamEventsResponse;
import io.grpc.BindableService;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.ServerCalls;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;

/** A service that does what a test says, behind a real channel: for what a real server does not do. */
public final class FakeServer implements AutoCloseable {
    /** Answers a call, or throws the status that it fails with. */
    public interface Call {
        Message answer(Message request) throws Exception;
    }

    /** Tells one stream; a stream that is not completed stays open. */
    public interface Stream {
        void tell(StreamEventsRequest request, ServerCallStreamObserver<StreamEventsResponse> to) throws Exception;
    }

    /** What was asked, in order. */
    public final List<Message> asked = new CopyOnWriteArrayList<>();
    /** One for each call. */
    public final BlockingQueue<Message> arrived = new LinkedBlockingQueue<>();
    /** Is down once a call was cancelled by the client. */
    public final CountDownLatch cancelled = new CountDownLatch(1);
    /** The headers of the calls. */
    public final List<Metadata> headers = new CopyOnWriteArrayList<>();

    private final Map<String, Call> calls = new HashMap<>();
    private Stream stream = (request, to) -> to.onCompleted();
    private Server server;
    private int port;

    public FakeServer() throws IOException {
        start();
    }

    public FakeServer on(String method, Call call) {
        calls.put(method, call);
        return this;
    }

    public FakeServer streaming(Stream tells) {
        stream = tells;
        return this;
    }

    public String address() {
        return "127.0.0.1:" + port;
    }

    /** What was asked, of one kind. */
    public <Q extends Message> List<Q> asked(Class<Q> kind) {
        return asked.stream().filter(kind::isInstance).map(kind::cast).toList();
    }

    /** Serve; on the same port as before, where it served before. */
    public void start() throws IOException {
        server = NettyServerBuilder.forAddress(
                        new InetSocketAddress("127.0.0.1", port), InsecureServerCredentials.create())
                .addService(ServerInterceptors.intercept((BindableService) this::service, new Headers()))
                .build()
                .start();
        port = server.getPort();
    }

    public void stop() throws InterruptedException {
        server.shutdownNow().awaitTermination();
    }

    @Override
    public void close() {
        server.shutdownNow();
    }

    private ServerServiceDefinition service() {
        var descriptor = ManagedAgentRuntimeGrpc.getServiceDescriptor();
        var service = ServerServiceDefinition.builder(descriptor);
        for (MethodDescriptor<?, ?> method : descriptor.getMethods()) {
            add(service, method);
        }
        return service.build();
    }

    @SuppressWarnings("unchecked") // All messages are messages.
    private void add(ServerServiceDefinition.Builder service, MethodDescriptor<?, ?> method) {
        if (method.getType() == MethodDescriptor.MethodType.SERVER_STREAMING) {
            service.addMethod(
                    (MethodDescriptor<StreamEventsRequest, StreamEventsResponse>) method,
                    ServerCalls.asyncServerStreamingCall((request, to) -> serve(
                            request,
                            (ServerCallStreamObserver<StreamEventsResponse>) to,
                            () -> stream.tell(request, (ServerCallStreamObserver<StreamEventsResponse>) to))));
            return;
        }
        service.addMethod(
                (MethodDescriptor<Message, Message>) method,
                ServerCalls.asyncUnaryCall((request, to) ->
                        serve(request, (ServerCallStreamObserver<Message>) to, () -> {
                            Message answer =
                                    calls.get(method.getBareMethodName()).answer(request);
                            if (answer != null) {
                                to.onNext(answer);
                                to.onCompleted();
                            }
                        })));
    }

    private interface Serving {
        void serve() throws Exception;
    }

    private void serve(Message request, ServerCallStreamObserver<?> to, Serving serving) {
        to.setOnCancelHandler(cancelled::countDown);
        asked.add(request);
        arrived.add(request);
        try {
            serving.serve();
        } catch (StatusRuntimeException refused) {
            to.onError(refused);
        } catch (Exception wrong) {
            throw new AssertionError(wrong);
        }
    }

    private final class Headers implements ServerInterceptor {
        @Override
        public <Q, A> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, A> call, Metadata metadata, ServerCallHandler<Q, A> next) {
            headers.add(metadata);
            return next.startCall(call, metadata);
        }
    }
}
