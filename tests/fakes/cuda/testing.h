/* Shared by tests of CUDA files on the host: arrays of the device, and child processes that a signal ends. */
#ifndef REEL_FAKE_TESTING_H
#define REEL_FAKE_TESTING_H

#include "cuda_runtime.h"

extern "C" {
#include "test.h"
}

#include <functional>
#include <signal.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

/* An array on the device, filled and read by copies. */
template <typename T> struct array {
    T *at = nullptr;
    size_t count;
    explicit array(size_t numbers) : count(numbers)
    {
        cudaMalloc(&at, numbers * sizeof(T));
    }
    explicit array(const std::vector<T> &from) : array(from.size())
    {
        cudaMemcpy(at, from.data(), count * sizeof(T), cudaMemcpyHostToDevice);
    }
    ~array()
    {
        cudaFree(at);
    }
    std::vector<T> read() const
    {
        std::vector<T> numbers(count);
        cudaMemcpy(numbers.data(), at, count * sizeof(T), cudaMemcpyDeviceToHost);
        return numbers;
    }
};

/* The text that a child process writes to stderr before `work` makes the signal end it; "" if it ends
 * otherwise. */
inline std::string words_before(int signal, const std::function<void()> &work)
{
    int ends[2];
    std::string words;
    char buffer[512];
    if (pipe(ends) != 0)
        return words;
    pid_t child = fork();
    if (child == 0) {
        struct sigaction plain = {};
        plain.sa_handler = SIG_DFL;
        sigaction(SIGSEGV, &plain, nullptr);
        dup2(ends[1], 2);
        work();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;)
        words.append(buffer, static_cast<size_t>(got));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == signal ? words + "." : "";
}

inline void check_words(const std::string &words, std::vector<const char *> expected)
{
    for (const char *word : expected)
        CHECK(words.find(word) != std::string::npos, "\"%s\" has no \"%s\"", words.c_str(), word);
}

#endif
