// Owner of the tests' precompiled headers (tests/CMakeLists.txt).
int main() {}
