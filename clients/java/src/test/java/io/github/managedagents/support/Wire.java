package io.github.managedagents.support;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** The way to a server, which can lose what the server says, and be cut. */
public final class Wire implements AutoCloseable {
    private final InetSocketAddress server;
    private final ServerSocket listening;
    private final Set<Socket> open = ConcurrentHashMap.newKeySet();
    private volatile boolean deaf;

    public Wire(String address) throws IOException {
        String[] hostAndPort = address.split(":");
        server = new InetSocketAddress(hostAndPort[0], Integer.parseInt(hostAndPort[1]));
        listening = new ServerSocket(0, 10, InetAddress.getLoopbackAddress());
        start(this::accept);
    }

    public String address() {
        return "127.0.0.1:" + listening.getLocalPort();
    }

    /** From now on nothing that the server says arrives. */
    public void loseAnswers() {
        deaf = true;
    }

    /** Cut what is connected; what is connected from now on is whole again. */
    public void cut() throws IOException {
        deaf = false;
        for (Socket socket : open) {
            socket.close();
        }
        open.clear();
    }

    @Override
    public void close() throws IOException {
        listening.close();
        cut();
    }

    private void accept() throws IOException {
        while (true) {
            Socket near = listening.accept();
            Socket far = new Socket(server.getAddress(), server.getPort());
            open.add(near);
            open.add(far);
            start(() -> near.getInputStream().transferTo(far.getOutputStream()));
            start(() -> answer(far, near));
        }
    }

    private void answer(Socket from, Socket to) throws IOException {
        byte[] bytes = new byte[65536];
        for (int count = from.getInputStream().read(bytes);
                count >= 0;
                count = from.getInputStream().read(bytes)) {
            if (!deaf) {
                to.getOutputStream().write(bytes, 0, count);
            }
        }
        to.close();
    }

    private interface Job {
        void run() throws IOException;
    }

    private static void start(Job job) {
        Thread thread = new Thread(() -> {
            try {
                job.run();
            } catch (IOException closed) {
                // It was cut, or the test is over.
            }
        });
        thread.setDaemon(true);
        thread.start();
    }
}
