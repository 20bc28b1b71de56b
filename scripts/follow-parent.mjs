// Loaded into a child with `node --import`: ends it when the process that started it is gone, however
// that ended. The channel between them closes even when the parent is killed with SIGKILL.

const stopMaxMs = 1_500;

if (process.connected) {
  process.on('disconnect', () => {
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), stopMaxMs).unref();
  });
  // Listening must not keep a child alive that has nothing left to do.
  process.channel.unref();
} else if (process.connected === false) {
  // The parent was gone before this was loaded.
  process.exit(1);
}
