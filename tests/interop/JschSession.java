import com.jcraft.jsch.Channel;
import com.jcraft.jsch.ChannelExec;
import com.jcraft.jsch.ChannelShell;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.JSchException;
import com.jcraft.jsch.Session;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;

/**
 * One session through JSch, behaving as `ssh` does: stdin in, stdout and stderr out, the exit status handed on, 255 for
 * a signal. JSch does not hand on its name.
 */
public final class JschSession {
    /** The status that the second session of each crossing ends with. */
    private static final int STATUS = 7;

    private static final Map<String, String[]> OPTIONS = Map.of(
            "kex", new String[] {"kex"},
            "cipher", new String[] {"cipher.c2s", "cipher.s2c"},
            "mac", new String[] {"mac.c2s", "mac.s2c"},
            "key", new String[] {"server_host_key"},
            "compression", new String[] {"compression.c2s", "compression.s2c"});

    private static final Map<String, String> chosen = new HashMap<>();

    private JschSession() {}

    private static void read(String[] arguments) {
        for (int at = 0; at < arguments.length; at++) {
            String[] option = arguments[at].substring(2).split("=", 2);
            boolean isFlag = option[0].equals("pty") || option[0].equals("crossings");
            chosen.put(option[0], isFlag ? "" : option.length > 1 ? option[1] : arguments[++at]);
        }
    }

    /** A connection that has logged in, offering only what the wishes name. */
    private static Session connect(Map<String, String> wishes) throws JSchException {
        JSch jsch = new JSch();
        if (chosen.containsKey("key")) {
            jsch.addIdentity(chosen.get("key"));
        }
        Session session = jsch.getSession(chosen.get("user"), "127.0.0.1", Integer.parseInt(chosen.get("port")));
        session.setConfig("StrictHostKeyChecking", "no");
        String method = chosen.containsKey("password") ? "password" : chosen.containsKey("key") ? "publickey" : "none";
        session.setConfig("PreferredAuthentications", method);
        session.setPassword(chosen.get("password"));
        for (Map.Entry<String, String> wish : wishes.entrySet()) {
            for (String option : OPTIONS.getOrDefault(wish.getKey(), new String[0])) {
                session.setConfig(option, wish.getValue());
            }
        }
        session.connect();
        return session;
    }

    private static void copy(InputStream from, OutputStream to) throws IOException {
        byte[] block = new byte[32768];
        for (int count = from.read(block); count >= 0; count = from.read(block)) {
            to.write(block, 0, count);
            to.flush();
        }
    }

    /** A thread that copies and then ends the receiving side. */
    private static Thread copying(InputStream from, OutputStream to) {
        Thread thread = new Thread(() -> {
            try (to) {
                copy(from, to);
            } catch (IOException error) {
                // The session has ended first: its status says why.
            }
        });
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    /** A stream that stays open when its writer closes it. */
    private static OutputStream kept(OutputStream stream) {
        return new FilterOutputStream(stream) {
            @Override
            public void write(byte[] bytes, int from, int count) throws IOException {
                out.write(bytes, from, count);
            }

            @Override
            public void close() throws IOException {
                flush();
            }
        };
    }

    private static int session() throws Exception {
        Session session = connect(Map.of());
        boolean pty = chosen.containsKey("pty");
        Channel channel = session.openChannel(chosen.containsKey("exec") ? "exec" : "shell");
        if (channel instanceof ChannelExec exec) {
            exec.setCommand(chosen.get("exec"));
            exec.setPty(pty);
            exec.setPtyType("xterm", 80, 24, 640, 480);
        } else if (channel instanceof ChannelShell shell) {
            shell.setPty(pty);
            shell.setPtyType("xterm", 80, 24, 640, 480);
        }
        InputStream errors = channel.getExtInputStream();
        InputStream output = channel.getInputStream();
        OutputStream input = channel.getOutputStream();
        channel.connect();
        if (chosen.containsKey("signal")) {
            channel.sendSignal(chosen.get("signal"));
        }
        copying(System.in, input);
        Thread stderr = copying(errors, kept(System.err));
        copy(output, System.out);
        stderr.join();
        int status = status(channel);
        session.disconnect();
        if (status == -1) {
            System.err.println("no exit status");
            return 255;
        }
        return status;
    }

    /** The status of a channel whose output has ended; it may come behind the end. */
    private static int status(Channel channel) {
        while (!channel.isClosed()) {
            Thread.yield();
        }
        return channel.getExitStatus();
    }

    /** The status of a command that `data` is written to. What it prints goes to `echoed`. */
    private static int run(Session session, String command, byte[] data, OutputStream echoed, long rekey)
            throws Exception {
        ChannelExec channel = (ChannelExec) session.openChannel("exec");
        channel.setCommand(command);
        InputStream output = channel.getInputStream();
        OutputStream input = channel.getOutputStream();
        channel.connect();
        Thread reader = copying(output, echoed);
        for (int at = 0, size = 16384; at < data.length; at += size) {
            input.write(data, at, Math.min(size, data.length - at));
            input.flush();
            if (at / rekey != (at + size) / rekey) {
                session.rekey();
            }
        }
        input.close();
        reader.join();
        int status = status(channel);
        channel.disconnect();
        return status;
    }

    private static void cross(Map<String, String> wishes) throws Exception {
        byte[] data = new byte[Integer.parseInt(wishes.get("bytes"))];
        byte[] half = new byte[data.length / 2];
        new Random(1).nextBytes(half);
        System.arraycopy(half, 0, data, 0, half.length);
        Session session = connect(wishes);
        try {
            ByteArrayOutputStream echoed = new ByteArrayOutputStream();
            long rekey = Long.parseLong(wishes.getOrDefault("rekey", "1000000000"));
            int first = run(session, "cat", data, echoed, rekey);
            int second = run(session, "exit " + STATUS, new byte[0], new ByteArrayOutputStream(), rekey);
            if (!Arrays.equals(echoed.toByteArray(), data)) {
                throw new IOException(echoed.size() + " bytes were echoed, or others");
            }
            if (first != 0 || second != STATUS) {
                throw new IOException("the statuses are " + first + " and " + second);
            }
        } finally {
            session.disconnect();
        }
    }

    private static void crossAll() throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Map<String, String> wishes = new HashMap<>();
            for (String word : line.split(" ")) {
                String[] parts = word.split("=", 2);
                wishes.put(parts[0], parts[1]);
            }
            try {
                cross(wishes);
                System.out.println("ok");
            } catch (Exception error) {
                System.out.println(("failed: " + error).replace('\n', ' '));
            }
        }
    }

    /** Behaves as `ssh` does. */
    public static void main(String[] arguments) throws Exception {
        read(arguments);
        int status = 0;
        try {
            if (chosen.containsKey("crossings")) {
                crossAll();
            } else {
                status = session();
            }
        } catch (Exception error) {
            System.err.println(error.getMessage());
            status = 255;
        }
        System.out.flush();
        Runtime.getRuntime().halt(status);
    }
}
