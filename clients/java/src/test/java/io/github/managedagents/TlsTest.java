package io.github.managedagents;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.managedagents.v1.ManagedAgentRuntimeGrpc;
import io.github.managedagents.v1.StatusRequest;
import io.github.managedagents.v1.StatusResponse;
import io.grpc.ChannelCredentials;
import io.grpc.Server;
import io.grpc.ServerCredentials;
import io.grpc.TlsChannelCredentials;
import io.grpc.TlsServerCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.nio.file.Path;
import java.security.KeyStore;
import java.time.Duration;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** An encrypted connection, to a server with a certificate that is made here. */
@Timeout(60)
class TlsTest {
    private static final char[] PASSWORD = "of a key for one test".toCharArray();

    @TempDir
    private Path folder;

    @Test
    void aServerIsTrustedByItsCertificateAndItsName() throws Exception {
        KeyStore keys = keys("server.example");
        KeyManagerFactory own = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        own.init(keys, PASSWORD);
        TrustManagerFactory trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trusted.init(keys);
        ServerCredentials shown = TlsServerCredentials.newBuilder()
                .keyManager(own.getKeyManagers())
                .build();
        ChannelCredentials trusts = TlsChannelCredentials.newBuilder()
                .trustManager(trusted.getTrustManagers())
                .build();
        Server server = NettyServerBuilder.forPort(0, shown)
                .addService(new ManagedAgentRuntimeGrpc.ManagedAgentRuntimeImplBase() {
                    @Override
                    public void status(StatusRequest request, StreamObserver<StatusResponse> to) {
                        to.onNext(StatusResponse.newBuilder().setHeadSeq(3).build());
                        to.onCompleted();
                    }
                })
                .build()
                .start();
        try (Client named =
                        client(server).tls(trusts).serverName("server.example").build();
                Client misnamed = client(server).tls(trusts).build();
                Client mistrusting = client(server)
                        .tls(TlsChannelCredentials.create())
                        .serverName("server.example")
                        .build();
                Client plain = client(server).build()) {
            assertEquals(3, named.status("ses_1").getHeadSeq());
            assertThrows(ManagedAgentsException.NoAnswer.class, () -> misnamed.status("ses_1"));
            assertThrows(ManagedAgentsException.NoAnswer.class, () -> mistrusting.status("ses_1"));
            assertThrows(ManagedAgentsException.NoAnswer.class, () -> plain.status("ses_1"));
        } finally {
            server.shutdownNow();
        }
    }

    private static ClientBuilder client(Server server) {
        return Client.builder("127.0.0.1:" + server.getPort()).connectTimeout(Duration.ofMillis(300));
    }

    private KeyStore keys(String name) throws Exception {
        Path file = folder.resolve("keys.p12");
        String keytool =
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        String password = new String(PASSWORD);
        int made = new ProcessBuilder(
                        keytool,
                        "-genkeypair",
                        "-alias",
                        "server",
                        "-keyalg",
                        "EC",
                        "-dname",
                        "CN=" + name,
                        "-ext",
                        "san=dns:" + name,
                        "-keystore",
                        file.toString(),
                        "-storepass",
                        password)
                .inheritIO()
                .start()
                .waitFor();
        assertEquals(0, made);
        return KeyStore.getInstance(file.toFile(), PASSWORD);
    }
}
